"""The support table: which operations work on which models, and why the others are refused.

`make support` writes docs/support.md from what the models of the tests really do.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import nn

import surgery
from graph.costs import costs
from surgery import Session, SurgeryError
from surgery.registry import operation_named
from tests.surgery.by_hand import block_lists, heard
from tests.surgery.contract import PARENT, PARENTS
from tests.surgery.states import generated, snapshot
from tests.zoo import ATLAS
from tests.zoo.families import DECODERS, ENCODERS, STAGES, TOWERS, TRANSLATORS

PAGE = Path(__file__).parents[2] / "docs" / "support.md"

Fields = dict[str, Any]
Maker = Callable[[], tuple[nn.Module, Any]]


def _opened(name: str) -> Maker:
    return lambda: ATLAS[name]()


MODELS: dict[str, Maker] = {
    **DECODERS,
    **ENCODERS,
    **TRANSLATORS,
    **TOWERS,
    **STAGES,
    "Llama without weights": DECODERS["llama"],
    "qwen2_moe": _opened("qwen_moe"),
    "torch: residual blocks, tied head": _opened("tied_head"),
    "torch: encoder layers": _opened("encoder"),
    "torch: CNN": _opened("cnn"),
    "torch: U-Net": _opened("unet"),
    "torch: RNN": _opened("recurrent"),
}
"""Families of transformers by name, and modules of plain torch."""


@dataclass(frozen=True)
class Column:
    """A way to use an operation; in its fields `{0}` is the list of blocks, of two lists the decoder's."""

    title: str
    operation: str
    fields: Fields
    first: tuple[tuple[str, Fields], ...] = ()


_ATTACH = ("attach", {"targets": "{0}.**:Linear, {0}.**:Conv1D"})
_BESIDE = ("attach", _ATTACH[1] | {"called": "style"})
_TIE = ("tie", {"targets": "{0}[2]", "to": "{0}[1]"})
_KEPT = {"statistics": "keep"}
_MERGES = (
    ("slerp", {"targets": "", "parents": PARENT, "t": [0.2, 0.8]} | _KEPT),
    ("dare", {"targets": "", "parents": PARENTS} | _KEPT),
)
COLUMNS = (
    Column("remove", "remove", {"targets": "{0}[1]"}),
    Column("keep", "keep", {"targets": "{0}[::2]"}),
    Column("shorten", "shorten", {"targets": "{0}[*]", "count": 1}),
    Column("move", "move", {"targets": "{0}[1]", "to": "{0}[2]", "place": "after"}),
    Column("swap", "swap", {"target": "{0}[1]", "other": "{0}[2]"}),
    Column("duplicate", "duplicate", {"targets": "{0}[1]"}),
    Column("tie", *_TIE),
    Column("untie", "untie", {"targets": "{0}[2]"}, (_TIE,)),
    Column("recur", "recur", {"targets": "{0}[*]", "loop": 2, "rank": 2, "start": "lower"}),
    Column("multiplex", "multiplex", {"targets": "{0}[*]", "span": 2}),
    Column("shared atoms", "share_atoms", {"targets": "{0}.**:Linear, {0}.**:Conv1D", "atoms": 2}),
    Column("shared heads", "share_heads", {"targets": "**", "ratio": 0.3}),
    Column("multiplied out", "multiply_out", {}, (("multiplex", {"targets": "{0}[*]", "span": 2}),)),
    Column("merge", "merge", {"targets": "{0}[1:3]"}),
    Column("with parents", "ties", {"targets": "", "parents": PARENTS} | _KEPT, _MERGES),
    Column("insert", "insert", {"to": "{0}[1]", "module": "identity"}),
    Column("replace", "replace", {"targets": "{0}[2]", "by": "{0}[1]"}),
    Column("wrap", "wrap", {"targets": "{0}[1]"}),
    Column("skip", "skip", {"targets": "{0}[1]"}),
    Column("neurons", "narrow", {"targets": "**", "units": "neurons", "ratio": 0.5}),
    Column("heads", "narrow", {"targets": "**", "units": "heads", "ratio": 0.5}),
    Column("channels", "narrow", {"targets": "**", "units": "channels", "ratio": 0.5}),
    Column("experts", "narrow", {"targets": "**", "units": "experts", "ratio": 0.5}),
    Column("vocabulary", "narrow", {"targets": "**", "units": "vocabulary", "count": 60, "by": "first"}),
    Column("width", "narrow", {"targets": "**", "units": "width", "ratio": 0.25}),
    Column("pruned", "prune", {"targets": "**", "ratio": 0.5, "by": "activation"}),
    Column("padded neurons", "pad", {"targets": "**", "units": "neurons", "count": 256}),
    Column("padded heads", "pad", {"targets": "**", "units": "heads", "count": 8}),
    Column("sparsify", "sparsify", {"targets": "**"}),
    Column("wanda", "wanda", {"targets": "{0}"}),
    Column("sparse_gpt", "sparse_gpt", {"targets": "{0}"}),
    Column("low rank", "low_rank", {"targets": "{0}.**:Linear, {0}.**:Conv1D", "rank": 4}),
    Column("tucker", "tucker", {"targets": "**:Conv2d", "ranks": [2, 2]}),
    Column("attach", *_ATTACH),
    Column("detach", "detach", {}, (_ATTACH,)),
    Column("fold", "fold", {}, (_ATTACH,)),
    Column("DoRA", "attach", _ATTACH[1] | {"adapter": "dora"}),
    Column("bottleneck", "attach", {"targets": "{0}[1]", "adapter": "bottleneck"}),
    Column("activate", "activate", {"off": True}, (_ATTACH,)),
    Column("combine", "combine", {"called": "default, style"}, (_ATTACH, _BESIDE)),
    Column("cast", "cast", {"targets": "**", "dtype": "bfloat16"}),
    Column("freeze", "freeze", {"targets": "**"}),
    Column("recalibrate", "recalibrate", {}),
    Column("fold norms", "fold_norm", {}),
    Column("absorb norms", "absorb_norm", {}),
    Column("to RMSNorm", "to_rms_norm", {}),
    Column("reparameterize", "reparameterize", {}),
    Column("grow", "grow", {"targets": "{0}[1]"}),
    Column("widen", "widen", {"targets": "**", "factor": 1.5}),
    Column("permute", "permute", {"targets": "**", "seed": 1}),
    Column("rebasin", "rebasin", {"targets": "", "parents": PARENT} | _KEPT),
    Column("otfusion", "otfusion", {"targets": "", "parents": PARENT, "regularization": 1.0} | _KEPT),
    Column("upcycle", "upcycle", {"targets": "{0}[1]"}),
    Column("merge experts", "merge_experts", {"count": 2}),
    Column("stitch", "stitch", {"parents": PARENT, "at": 2}),
)


def row(name: str) -> list[str]:
    """What each column comes to on this model: "" where it works, else the sentence that refuses it.

    Works means: applied, the figures are those of the preview, the model runs and gives numbers, generates
    with its cache what it generates without, and undo gives back every object. AssertionError where it does
    not.
    """
    model, inputs = MODELS[name]()
    session = surgery.open(model, inputs, skeleton=name.endswith("without weights"))
    session.data = [inputs] * 30  # a stitching layer wants so many tokens
    lists = [*block_lists(model), *_plain_lists(model)]
    blocks = lists[-1 if name in TRANSLATORS else 0] if lists else "blocks"
    return [_cell(name, session, column, blocks) for column in COLUMNS]


def _plain_lists(model: nn.Module) -> list[str]:
    if hasattr(model, "config"):
        return []
    found = [
        (path, module)
        for path, module in model.named_modules()
        if isinstance(module, nn.ModuleList | nn.Sequential) and len(module) > 2
    ]
    return [path for path, module in found if len({type(item) for item in module}) == 1]


def _cell(name: str, session: Session, column: Column, blocks: str) -> str:
    before = snapshot(session.model)
    try:
        for operation, fields in (*column.first, (column.operation, column.fields)):
            step = operation_named(operation).from_fields(_filled(fields, blocks) | _parents(name, fields))
            shown = session.preview(step)
            session.apply(step)
        assert shown.bounds is not None or costs(session.graph) == shown.after
        if not session.is_skeleton:
            _runs(session)
        if name in DECODERS | TRANSLATORS and column.operation not in ("cast", "freeze"):
            inputs = _fitting(session.opened.inputs, next(session.model.parameters()).dtype)
            given = heard(name, inputs)
            tokens = [generated(session.model, given, use_cache=cached) for cached in (True, False)]
            assert torch.equal(*tokens)
        return ""
    except SurgeryError as error:
        return str(error)
    finally:
        while session.history.current.parent is not None:
            session.undo()
        assert snapshot(session.model) == before


def _filled(fields: Fields, blocks: str) -> Fields:
    return {key: value.format(blocks) if isinstance(value, str) else value for key, value in fields.items()}


def _parents(name: str, fields: Fields) -> Fields:
    """Folders of models tuned from this one, where the operation merges with such."""
    counts = {PARENT: 1, PARENTS: 2}
    wanted = counts.get(str(fields.get("parents")), 0)
    return {"parents": [_parent(name, ratio) for ratio in (0.3, 0.5)[:wanted]]} if wanted else {}


@cache
def _parent(name: str, ratio: float) -> str:
    session = surgery.open(*MODELS[name]())
    session.sparsify("**", ratio)
    return str(session.save(Path(tempfile.mkdtemp(prefix="surgery-support-")) / "parent"))


def _runs(session: Session) -> None:
    model: Any = session.model
    inputs = _fitting(session.opened.inputs, next(model.parameters()).dtype)
    with torch.no_grad():
        out = model(**inputs) if isinstance(inputs, dict) else model(*inputs)
    found = next(iter(out.values())) if isinstance(out, Mapping) else out
    while isinstance(found, tuple):
        found = found[0]
    assert torch.isfinite(found).all()


def _fitting(inputs: Any, dtype: torch.dtype) -> Any:
    """The inputs in this dtype, with token ids that a shorter vocabulary has too."""
    if isinstance(inputs, torch.Tensor):
        return inputs.to(dtype) if inputs.is_floating_point() else inputs % 40
    if isinstance(inputs, dict):
        return {key: _fitting(value, dtype) for key, value in inputs.items()}
    return tuple(_fitting(value, dtype) for value in inputs)


def page(rows: dict[str, list[str]]) -> str:
    """The Markdown of the table, a number for each reason; paths and numbers of one model left out of it."""
    notes: dict[str, int] = {}
    lines = []
    for name, cells in rows.items():
        marks = ["✓" if not cell else str(notes.setdefault(reason(cell), len(notes) + 1)) for cell in cells]
        lines.append(f"| {name} | {' | '.join(marks)} |")
    titles = [column.title for column in COLUMNS]
    return "\n".join(
        [
            "# What works on which model",
            "",
            "Written by `make support` from what small models of each family do, and checked by a test. ✓: "
            "the operation works, keeps the KV cache right where there is one, and is undone to the very "
            "objects. A number: it is refused, with the reason below; nothing runs and is wrong. `neurons` "
            "to `width` are the units of `narrow`, padded ones those of `pad`. What each ✓ was proved "
            "by is in `tests/surgery`.",
            "",
            f"| model | {' | '.join(titles)} |",
            f"| --- |{' --- |' * len(titles)}",
            *lines,
            "",
            *(f"{number}. {reason}" for reason, number in notes.items()),
            "",
        ]
    )


def reason(sentence: str) -> str:
    """What is refused and why, without where and how else; "" where nothing is."""
    text = re.sub(r"\. Try: .*", "", sentence, flags=re.DOTALL)
    text = re.sub(r"; (got|expected) .*", "", text, flags=re.DOTALL)
    return re.sub(r"^(\(root\)|\S+?(, \S+?)*): ", "", text).strip()


def written_row(name: str) -> list[str]:
    """The reasons that the page gives for this model, "" where it says that an operation works."""
    lines = PAGE.read_text(encoding="utf-8").splitlines()
    notes = dict(line.split(". ", 1) for line in lines if re.match(r"\d+\. ", line))
    marks = next(line for line in lines if line.startswith(f"| {name} |")).strip("| ").split(" | ")[1:]
    return ["" if mark == "✓" else notes[mark] for mark in marks]


if __name__ == "__main__":
    PAGE.write_text(page({name: row(name) for name in MODELS}), encoding="utf-8")
