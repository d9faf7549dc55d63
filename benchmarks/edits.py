"""What an edit costs, on random Llamas in bf16: one narrow, one of about 200 million parameters.

Promises: remove, tie, untie and undo take under 10 ms whatever the width (the trace that follows an edit is
measured apart); a session on a model costs a shell, not a copy; a fingerprint is as quick as SHA-256 is.
"""

import copy
import hashlib
from typing import Any

import torch
from torch import nn

import surgery
from benchmarks.tables import Table, ms, ratio, side_by_side
from graph import costs, extract, shell
from surgery.fingerprint import Fingerprinter, stored_tensors
from surgery.journal import Journal
from surgery.operation import Operation
from surgery.registry import operation_named
from surgery.runs import Live, carry_out

BLOCKS = 12
ROUNDS = 7
BUDGET_S = 0.010


def llama(width: int) -> nn.Module:
    """A random Llama of twelve blocks in bf16; 1024 wide it has 220 million parameters."""
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        vocab_size=32_000,
        hidden_size=width,
        intermediate_size=width * 11 // 4,
        num_hidden_layers=BLOCKS,
        num_attention_heads=16,
        num_key_value_heads=16,
        dtype=torch.bfloat16,
    )
    torch.manual_seed(0)
    made: nn.Module = LlamaForCausalLM._from_config(config).eval()
    return made


def tables() -> list[Table]:
    """Edits at both widths; then session, trace and fingerprint at the larger."""
    narrow, wide = (surgery.open(llama(width)) for width in (128, 1024))
    return [_edits(narrow, wide), _around(wide)]


def _edits(narrow: surgery.Session, wide: surgery.Session) -> Table:
    rows = []
    tie = operation_named("tie").of("model.layers[5]", to="model.layers[4]")
    steps: list[tuple[str, Operation, tuple[Operation, ...]]] = [
        ("remove a block", operation_named("remove").of("model.layers[3]"), ()),
        ("tie two blocks", tie, ()),
        ("untie a block", operation_named("untie").of("model.layers[5]"), (tie,)),
    ]
    for label, step, first in steps:
        there: dict[str, Any] = {}
        back: dict[str, Any] = {}
        for key, session in (("narrow", narrow), ("wide", wide)):
            made = shell(session.model).model
            for earlier in first:
                carry_out(earlier, made, Journal(), Live())
            journals: list[Journal] = []

            def apply(made: nn.Module = made, step: Operation = step, journals: Any = journals) -> None:
                journals.append(Journal())
                carry_out(step, made, journals[-1], Live())

            there[key] = apply
            back[key] = lambda journals=journals: journals.pop().undo()
        ways = {}
        for key in there:
            ways |= {key: there[key], f"{key} undo": back[key]}
        found = side_by_side(ways, rounds=ROUNDS)
        for name, suffix in ((label, ""), (f"{label}: undo", " undo")):
            times = [found[f"{key}{suffix}"] for key in ("narrow", "wide")]
            rows.append((name, ms(times[0]), ms(times[1]), ratio(times[1], BUDGET_S)))
    sizes = [f"{costs(session.graph).parameters / 1e6:.0f} M" for session in (narrow, wide)]
    header = ("planned and applied", *sizes, "of 10 ms")
    return Table("Edits", "Under 10 ms whatever the width, without the trace.", header, tuple(rows))


def _around(session: surgery.Session) -> Table:
    model, inputs = session.opened.model, session.opened.inputs
    step = operation_named("remove").of("model.layers[3]")
    tensors = {id(tensor): tensor.detach() for _, tensor in stored_tensors(model)}
    raw: list[Any] = [
        tensor.contiguous().view(torch.uint8).numpy().reshape(-1) for tensor in tensors.values()
    ]
    size_gb = sum(item.nbytes for item in raw) / 1e9
    found = side_by_side(
        {
            "copy.deepcopy": lambda: copy.deepcopy(model),
            "structural shell": lambda: shell(model),
            "trace": lambda: extract(model, inputs),
            "preview of a removal": lambda: session.preview(step),
            "SHA-256 alone": lambda: [hashlib.sha256(item).digest() for item in raw],
            "fingerprint": lambda: Fingerprinter()(model),
        },
        rounds=3,
    )
    against = {
        "structural shell": "copy.deepcopy",
        "preview of a removal": "trace",
        "fingerprint": "SHA-256 alone",
    }
    rows = []
    for name, seconds in found.items():
        speed = f", {size_gb / seconds:.2f} GB/s" if name in ("SHA-256 alone", "fingerprint") else ""
        base = against.get(name)
        rows.append((name, ms(seconds) + speed, f"{ratio(seconds, found[base])} {base}" if base else ""))
    promise = (
        "A session costs a shell; a preview little more than its trace; a fingerprint what SHA-256 costs."
    )
    return Table(f"Around an edit, {size_gb:.2f} GB", promise, ("what", "median", "ratio"), tuple(rows))
