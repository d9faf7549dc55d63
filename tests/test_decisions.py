"""The examples in DECISIONS.md are run: what their comments and answers say is so."""

import re
import traceback
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import surgery
from surgery import Script, SurgeryError
from surgery.demo import DECODER
from surgery.edits import Edit, SetTensor
from surgery.fields import Target, Targets
from surgery.model import Patient
from surgery.operation import Operation, operation
from surgery.operations.attach import Attach
from surgery.operations.remove import Remove
from tests.surgery.test_retrace import Gate
from tests.zoo import ZOO

TEXT = (Path(__file__).parent.parent / "DECISIONS.md").read_text(encoding="utf-8")


def example(section: int, language: str) -> str:
    """The one block of a language under a heading."""
    (part,) = re.findall(rf"^## {section}\. .*?(?=^## |\Z)", TEXT, flags=re.DOTALL | re.MULTILINE)
    (block,) = re.findall(rf"```{language}\n(.*?)```", part, flags=re.DOTALL)
    return str(block)


def test_sections_are_numbered_in_order() -> None:
    """Sources refer to them by number."""
    numbers = [int(number) for number in re.findall(r"^## (\d+)\.", TEXT, flags=re.MULTILINE)]
    assert numbers == list(range(1, len(numbers) + 1))


def test_paths_and_origins() -> None:
    """Section 1: each line runs, and its value is what stands behind it."""
    names: dict[str, Any] = {"surgery": surgery, "DECODER": DECODER}
    shown = []
    for line in example(1, "python").splitlines():
        code, _, comment = line.partition("  #")
        said = re.match(r"\s*('[^']*')", comment)
        if said is None:
            exec(code, names)
        else:
            assert repr(eval(code, names)) == said[1], code
            shown.append(said[1])
    assert len(shown) == 5


def test_the_script_reads() -> None:
    """Section 2: the JSON shown is a script of this release, in the order of keys that is written."""
    script = Script.from_json(example(2, "json"))
    blocks = ("model.layers.2", "model.layers.3")
    assert script.steps == (
        Remove(targets=Targets("model.layers[2:4]", blocks)),
        Attach(targets=Targets("**.{q,v}_proj", ("…",)), adapter="lora", rank=8),
    )
    keys = re.compile(r'"([\w-]+)":')
    written = [key for key in keys.findall(script.to_json()) if key not in ("alpha", "seed")]  # defaults
    assert written == keys.findall(example(2, "json"))


def test_an_error_is_one_sentence() -> None:
    """Section 4: the gesture shown is refused with the very words shown, as Python prints them."""
    call, answer = example(4, "python").removeprefix(">>> ").split("\n", 1)
    names: dict[str, Any] = {"s": surgery.open(DECODER)}
    with pytest.raises(SurgeryError) as refusal:
        eval(call, names)
    assert "".join(traceback.format_exception_only(refusal.value)).split() == answer.split()


def test_what_a_trace_guesses() -> None:
    """Section 8: a way chosen by a value is opaque until the model runs on values."""
    names: dict[str, Any] = {"surgery": surgery, "gated": nn.Sequential(Gate()), "inputs": torch.ones(2, 4)}
    lines = [line.partition("  #")[0::2] for line in example(8, "python").splitlines()]
    assert [name for name, comment in lines if not comment] == ["s = surgery.open(gated, inputs)"]
    for code, comment in lines:
        if comment:
            assert repr(eval(code, names)) == comment.strip()
        else:
            exec(code, names)


def test_the_operation_shown_runs() -> None:
    """Section 5: the class as printed ties two blocks."""
    names: dict[str, Any] = {
        "operation": operation,
        "Operation": Operation,
        "Targets": Targets,
        "Target": Target,
        "Patient": Patient,
        "Edit": Edit,
        "SetTensor": SetTensor,
    }
    source = (
        f"from __future__ import annotations\nfrom collections.abc import Iterator\n{example(5, 'python')}"
    )
    exec(compile(source, "DECISIONS.md", "exec"), names | (module := {"__name__": __name__}), module)
    model, inputs = ZOO["tied_head"]()
    session = surgery.open(model, inputs)
    session.apply(module["Tie"](targets="blocks[1:3]", to="blocks[0]"))
    weights = [session.model.get_parameter(f"blocks.{index}.up.weight") for index in range(4)]
    assert weights[0] is weights[1] is weights[2] and weights[3] is not weights[0]
    assert torch.equal(weights[0], model.get_parameter("blocks.0.up.weight"))


def test_pending_edits_follow_their_modules() -> None:
    """Section 23: the paths shown are those that come out."""
    *lines, last = example(23, "python").strip().splitlines()
    names: dict[str, Any] = {"surgery": surgery}
    exec("\n".join(lines), names)
    code, _, said = last.partition("  # ")
    assert repr(eval(code, names)) == said
