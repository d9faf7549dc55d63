"""The script's JSON as DECISIONS.md, 2 shows it, and the Python that does the same."""

import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

import surgery
from surgery import Script, SurgeryError
from surgery.fields import Target, Targets
from surgery.likeness import Gauge, Likeness
from surgery.operation import Operation
from surgery.operations.attach import Attach
from surgery.operations.merge import Merge
from surgery.operations.remove import Remove
from surgery.operations.sparsify import Sparsify
from surgery.operations.tie import Tie
from surgery.script import Base, python_of, step_data, step_from
from tests.zoo import ZOO

STEPS = (
    Remove(targets=Targets("model.layers[2:4]", ("model.layers.2", "model.layers.3"))),
    Tie(
        targets=Targets("model.layers.1", ("model.layers.1",)), to=Target("model.layers[0]", "model.layers.0")
    ),
    Attach(targets=Targets("**.{q,v}_proj", ("model.layers.0.self_attn.q_proj",)), adapter="lora", rank=4),
)
SCRIPT = Script(
    Base("decoder/", "LlamaForCausalLM", "sha256:4be1"),
    STEPS,
    "sha256:90ac",
    Likeness("sha256:11fe", {"lm_head.weight": Gauge(torch.bfloat16, 64, 2.5, (1.0, -0.25, *(0.5,) * 6))}),
    {"model-surgery": "0.1.0", "torch": "2.13.0", "cpu_capability": "AVX512"},
)
# What a release wrote must be readable for ever: change this with the version number only.
GOLDEN = """{
  "format": "surgery-script", "version": 1,
  "base": {"source": "decoder/", "class": "LlamaForCausalLM", "fingerprint": "sha256:4be1"},
  "steps": [
    {"operation": "remove", "targets": {"select": "model.layers[2:4]", "paths": ["model.layers.2", "model.layers.3"]}},
    {"operation": "tie", "targets": {"select": "model.layers.1", "paths": ["model.layers.1"]}, \
"to": {"select": "model.layers[0]", "path": "model.layers.0"}, "start": "to", "but": "nothing"},
    {"operation": "attach", "targets": {"select": "**.{q,v}_proj", "paths": ["model.layers.0.self_attn.q_proj"]}, \
"adapter": "lora", "rank": 4, "alpha": null, "seed": 0}
  ],
  "result": {"fingerprint": "sha256:90ac", "rest": "sha256:11fe", "gauges": {
    "lm_head.weight": ["bfloat16", 64, 2.5, 1.0, -0.25, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5]
  }},
  "made_with": {"model-surgery": "0.1.0", "torch": "2.13.0", "cpu_capability": "AVX512"}
}
"""  # noqa: E501  a step is a line


def changed(**changes: Any) -> str:
    """The golden script with other values at the top."""
    return json.dumps(json.loads(GOLDEN) | changes)


def test_json_is_the_golden_text() -> None:
    """Every key in its order, a step per line, every field written out."""
    assert SCRIPT.to_json() == GOLDEN


def test_golden_text_reads_back() -> None:
    """What was written then is the same script now, and writes the same text."""
    assert Script.from_json(GOLDEN) == SCRIPT
    assert Script.from_json(GOLDEN).to_json() == GOLDEN


def test_a_result_without_gauges_reads_back() -> None:
    """Older scripts, and those written by hand, have a fingerprint alone; where nothing was made, none is."""
    for likeness in (None, Likeness("sha256:11fe", {})):
        script = replace(SCRIPT, likeness=likeness)
        assert Script.from_json(script.to_json()) == script


def test_script_without_steps_reads_back() -> None:
    """An unedited, unnamed skeleton has a script too."""
    script = Script(Base(None, "Module", None), ())
    assert '"steps": [],' in script.to_json()
    assert Script.from_json(script.to_json()) == script


def test_fields_left_out_have_their_defaults() -> None:
    """A script written by hand names what matters: selectors as text, no paths, no result."""
    step = {"operation": "attach", "targets": "**.q_proj"}
    script = Script.from_json(
        json.dumps(
            {
                "format": "surgery-script",
                "version": 1,
                "base": {"class": "X", "fingerprint": None},
                "steps": [step],
            }
        )
    )
    assert script.steps == (Attach(targets=Targets("**.q_proj"), rank=8),)
    assert (script.base.source, script.result, script.made_with) == (None, None, {})


def test_script_of_a_session_states_what_was_resolved() -> None:
    """Selector and paths of each step in the state it applied to, and what the promise of bits hangs on."""
    model, inputs = ZOO["tied_head"]()
    session = surgery.open(model, inputs)
    session.remove("blocks[1]")
    session.remove("blocks[1:3]")
    data = json.loads(session.script.to_json())
    assert list(data) == ["format", "version", "base", "steps", "result", "made_with"]
    assert [step["targets"] for step in data["steps"]] == [
        {"select": "blocks[1]", "paths": ["blocks.1"]},
        {"select": "blocks[1:3]", "paths": ["blocks.1", "blocks.2"]},
    ]
    assert data["made_with"] == {
        "model-surgery": surgery.__version__,
        "torch": torch.__version__,
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "device": "cpu",
    }


def test_writing_and_reading_a_file(tmp_path: Path) -> None:
    """The file holds the text; nothing else stays in the folder, also when it is written over."""
    path = SCRIPT.write(tmp_path / "edits.surgery.json")
    SCRIPT.write(path)
    assert path.read_text(encoding="utf-8") == GOLDEN
    assert Script.read(path) == SCRIPT
    assert list(tmp_path.iterdir()) == [path]


def test_files_that_cannot_be_written_or_read(tmp_path: Path) -> None:
    """A folder that is not there, a file that is not there and one that is no text are named."""
    with pytest.raises(SurgeryError, match=r"absent/x\.json: cannot write the script"):
        SCRIPT.write(tmp_path / "absent" / "x.json")
    with pytest.raises(SurgeryError, match=r"x\.json: cannot read the script: No such file"):
        Script.read(tmp_path / "x.json")
    (tmp_path / "x.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(SurgeryError, match="cannot read the script: it is not text"):
        Script.read(tmp_path / "x.json")


def gauged(data: Any) -> dict[str, Any]:
    """A result whose one tensor has this as its gauge."""
    return {"result": {"fingerprint": None, "rest": "x", "gauges": {"w": data}}}


WRONG: dict[str, tuple[Any, str]] = {
    "a list for what made it": ({"made_with": [1]}, "made_with"),
    "a text for what made it": ({"made_with": "torch"}, "made_with"),
    "a text as result": ({"result": "sha256:90ac"}, "result is no object"),
    "a number as result": ({"result": {"fingerprint": 7}}, "fingerprint"),
    "gauges without the rest": ({"result": {"fingerprint": None, "gauges": {}}}, "beside a `rest`"),
    "a gauge of no dtype": (gauged(["nan", 4, *[1.0] * 9]), "result.gauges.w"),
    "a gauge of integers": (gauged(["int8", 4, *[1.0] * 9]), "result.gauges.w"),
    "a short gauge": (gauged(["float32", 4, 1.0]), "result.gauges.w"),
    "a gauge of text": (gauged("float32"), "result.gauges.w"),
    "a gauge without end": (gauged(["float32", 4, *[float("inf")] * 9]), "result.gauges.w"),
    "a gauge of a large number": (gauged(["float32", 4, *[10**400] * 9]), "result.gauges.w"),
    "a number as source": ({"base": {"class": "X", "fingerprint": None, "source": 7}}, "source"),
    "a number as fingerprint": ({"base": {"class": "X", "fingerprint": 7}}, "fingerprint"),
    "a number as class": ({"base": {"class": 7, "fingerprint": None}}, "class"),
    "an unknown key in base": ({"base": {"class": "X", "fingerprint": None, "path": "/"}}, "'path'"),
}


@pytest.mark.parametrize("name", WRONG)
def test_values_of_the_wrong_kind_are_refused(name: str) -> None:
    """Text, number or list where something else belongs: the key is named, and nothing else escapes."""
    changes, named = WRONG[name]
    with pytest.raises(SurgeryError) as refusal:
        Script.from_json(changed(**changes))
    assert named in str(refusal.value)


LONG = '{"operation": "remove", "targets": "**"},' * 1_000_000
BAD_TEXTS = {
    "a million steps": (changed(steps=[]).replace("[]", f"[{LONG[:-1]}]"), "too many steps; got 1,000,000"),
    "too long": (" " * 100_000_001, "is longer than any edit script; expected at most 100,000,000 bytes"),
    "deep lists": ("[" * 100_000 + "]" * 100_000, "is not JSON"),
    "deep objects": ('{"a":' * 100_000, "is not JSON"),
    "deep in a step": (changed(steps=[]).replace("[]", "[" * 100_000 + "]" * 100_000), "is not JSON"),
    "half a character": (changed(base={"class": "\ud800", "fingerprint": None}), "is not JSON"),
    "a number of many digits": (changed(version=1).replace(": 1", ": " + "1" * 10_000), "is not JSON"),
    "no number": (changed(version=float("nan")), "cannot read; got nan"),
    "a key many times": ("{" + '"a": 1, ' * 100_000 + '"b": 1}', "gives a key twice; got 'a'"),
    "a long format": (changed(format="x" * 10**6), "is no edit script; got x"),
    "a version of text": (changed(version="1"), "has a version this release cannot read; got 1"),
    "a truth for a version": (changed(version=True), "has a version this release cannot read; got True"),
}


@pytest.mark.parametrize("name", BAD_TEXTS)
def test_texts_that_nobody_wrote(name: str, tmp_path: Path) -> None:
    """Refused before long, in a sentence that can be read."""
    text, sentence = BAD_TEXTS[name]
    (tmp_path / "edits.json").write_text(text)
    began_s = time.monotonic()
    with pytest.raises(SurgeryError) as refusal:
        Script.read(tmp_path / "edits.json")
    assert time.monotonic() - began_s < 20
    assert sentence in str(refusal.value) and len(str(refusal.value)) < 600


def test_ten_thousand_steps_are_read() -> None:
    """As many as a script may have."""
    steps = json.loads(GOLDEN)["steps"][:1] * 10_000
    assert len(Script.from_json(changed(steps=steps)).steps) == 10_000


def test_a_device_that_never_ends(tmp_path: Path) -> None:
    """Not read to its end."""
    with pytest.raises(SurgeryError, match="is longer than any edit script"):
        Script.read("/dev/zero")


def test_steps_say_where_they_are_wrong() -> None:
    """The place of the step in the list is the path of the error."""
    steps = [step_data(STEPS[0]), {"operation": "remove", "targets": 7}]
    with pytest.raises(SurgeryError, match=r"^steps\[1\]: remove\.targets does not fit; got 7") as refusal:
        Script.from_json(changed(steps=steps))
    assert refusal.value.path == "steps[1]"


PYTHON: list[tuple[Operation, str]] = [
    (STEPS[0], 's.remove("model.layers[2:4]")'),
    (STEPS[1], 's.tie("model.layers.1", to="model.layers[0]")'),
    (Tie(targets="a", to="b", but="norms"), 's.tie("a", to="b", but="norms")'),
    (Attach(targets="**:Linear"), 's.attach("**:Linear")'),
    (Attach(targets="**:Linear", rank=2, alpha=1.5), 's.attach("**:Linear", rank=2, alpha=1.5)'),
    (Sparsify(targets="a", ratio=0.3, scope="global"), 's.sparsify("a", ratio=0.3, scope="global")'),
    (Merge(targets="a[0:2]", weights=(0.75, 0.25)), 's.merge("a[0:2]", weights=(0.75, 0.25))'),
    (Merge(targets="**", parents=["one/", "two/"]), 's.merge("**", parents=["one/", "two/"])'),
    (
        Attach(targets=Targets("**.up").expect(4), rank=2),
        's.attach(surgery.select("**.up").expect(4), rank=2)',
    ),
    (Remove(targets=r"odd\"name"), r's.remove("odd\\\"name")'),
]


class Recorder:
    """Stands for a session: makes the operation a call describes."""

    def __getattr__(self, name: str) -> Any:
        from surgery.registry import operation_named

        return operation_named(name).of


@pytest.mark.parametrize(("step", "text"), PYTHON, ids=lambda value: str(value)[:30])
def test_python_of_a_step(step: Operation, text: str) -> None:
    """Required fields and those that differ from their defaults; run, it makes the unresolved step again."""
    assert python_of(step) == text
    made = eval(text, {"s": Recorder(), "surgery": surgery})
    for spec in step.specs:
        mine, theirs = (getattr(item, spec.name) for item in (step, made))
        assert getattr(mine, "select", mine) == getattr(theirs, "select", theirs)


def test_python_of_a_script_is_a_call_per_line() -> None:
    """The steps in order."""
    assert SCRIPT.to_python().splitlines() == [python_of(step) for step in STEPS]


@pytest.mark.parametrize("step", [step for step, _ in PYTHON], ids=lambda step: python_of(step)[:40])
def test_a_step_is_the_same_after_json(step: Operation) -> None:
    """Data, JSON text and back."""
    assert step_from(json.loads(json.dumps(step_data(step))), "here") == step
