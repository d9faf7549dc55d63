"""What an edit costs, on random Llamas in bf16: one narrow, one with the blocks of a 7B (fewer of them).

Promises: a shell, remove, tie, untie and undo take under 10 ms whatever the width (the trace that follows
an edit is measured apart); ten steps on a 70B skeleton are previewed in under 200 ms; to narrow takes at most
one and a half times as long as to copy what is kept; a session on a model costs a shell, not a copy; a
fingerprint is as quick as SHA-256 is.
"""

import copy
import hashlib
from typing import Any

import torch
from torch import nn

import surgery
from benchmarks.tables import Table, ms, ratio, side_by_side
from graph import costs, extract, shell
from surgery.copies import settled
from surgery.fingerprint import Fingerprinter, stored_tensors
from surgery.journal import Journal
from surgery.operation import Operation
from surgery.recipes import one_thread
from surgery.registry import operation_named
from surgery.runs import Live, carry_out

BLOCKS = 8
ROUNDS = 7
BUDGET_S = 0.010
PREVIEW_S = 0.200
WIDE, NARROW = 4096, 128


def llama(width: int) -> nn.Module:
    """A random Llama of eight blocks in bf16; 4096 wide it has 1.9 billion parameters, as shaped as in 7B."""
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        vocab_size=32_000,
        hidden_size=width,
        intermediate_size=width * 43 // 16,
        num_hidden_layers=BLOCKS,
        num_attention_heads=32,
        num_key_value_heads=32,
        dtype=torch.bfloat16,
    )
    torch.manual_seed(0)
    made: nn.Module = LlamaForCausalLM._from_config(config).eval()
    return made


def tables() -> list[Table]:
    """Edits at both widths; session, trace and fingerprint at the larger; widths; previews at 70B."""
    narrow, wide = (surgery.open(llama(width)) for width in (NARROW, WIDE))
    return [_edits(narrow, wide), _widths(wide), _around(wide), _previews()]


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
            # What is copied in the background is no part of the next.
            ways |= {key: there[key], f"{key} undo": back[key], f"{key} copies": settled}
        found = side_by_side(ways, rounds=ROUNDS)
        for name, suffix in ((label, ""), (f"{label}: undo", " undo")):
            times = [found[f"{key}{suffix}"] for key in ("narrow", "wide")]
            rows.append((name, ms(times[0]), ms(times[1]), ratio(times[1], BUDGET_S)))
        if label == "untie a block":
            times = [found[f"{key} copies"] for key in ("narrow", "wide")]
            rows.append((f"{label}: the copy, in the background", ms(times[0]), ms(times[1]), ""))
    shells = side_by_side(
        {
            key: lambda session=session: shell(session.model)
            for key, session in (("narrow", narrow), ("wide", wide))
        },
        rounds=ROUNDS,
    )
    rows.append(("shell", ms(shells["narrow"]), ms(shells["wide"]), ratio(shells["wide"], BUDGET_S)))
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
        "A session costs a shell; a preview little more than its trace; a fingerprint a fraction of SHA-256."
    )
    return Table(f"Around an edit, {size_gb:.2f} GB", promise, ("what", "median", "ratio"), tuple(rows))


def _widths(session: surgery.Session) -> Table:
    """One block's neurons and heads halved, against copies of the very halves that stay."""
    block: Any = session.model.get_submodule("model.layers.3")
    half: dict[str, list[tuple[torch.Tensor, int]]] = {
        "neurons": [
            (block.mlp.gate_proj.weight, 0),
            (block.mlp.up_proj.weight, 0),
            (block.mlp.down_proj.weight, 1),
        ],
        "heads": [
            *((getattr(block.self_attn, f"{name}_proj").weight, 0) for name in "qkv"),
            (block.self_attn.o_proj.weight, 1),
        ],
    }
    rows = []
    for units, weights in half.items():
        count = 5504 if units == "neurons" else 16
        everywhere = tuple(range(0, 2 * count, 2))

        def copied(weights: Any = weights) -> list[torch.Tensor]:
            with one_thread():  # held together, as the edit holds them: memory that is used again is quicker
                halves = [weight.detach().narrow(dim, 0, weight.shape[dim] // 2) for weight, dim in weights]
                return [half.clone(memory_format=torch.contiguous_format) for half in halves]

        def narrowed(units: str = units, **fields: Any) -> None:
            step = operation_named("narrow").of("model.layers[3]", units, **fields)
            journal = Journal()
            carry_out(step, session.model, journal, Live())
            journal.undo()

        found = side_by_side(
            {
                "copy": copied,
                "the first half": lambda u=units, c=count: narrowed(u, count=c, by="first"),
                "every second": lambda u=units, k=everywhere: narrowed(u, kept=k),
                "the half of largest weights": lambda u=units, c=count: narrowed(u, count=c),
            },
            rounds=ROUNDS,
        )
        for name, seconds in found.items():
            against = "" if name == "copy" else ratio(seconds, found["copy"])
            rows.append((units, name, ms(seconds), against))
    promise = (
        "At most 1.5 × the copy of what stays, one thread each; to weigh the units reads all weights besides."
    )
    return Table(
        "Narrowing a block of 7B shape to half",
        promise,
        ("units", "what", "median", "of the copy"),
        tuple(rows),
    )


def _previews() -> Table:
    """Ten steps on a decoder of 70B shape that was opened without weights."""
    from transformers import LlamaConfig

    config = LlamaConfig(
        vocab_size=128_256,
        hidden_size=8192,
        intermediate_size=28_672,
        num_hidden_layers=80,
        num_attention_heads=64,
        num_key_value_heads=8,
        dtype=torch.bfloat16,
        architectures=["LlamaForCausalLM"],
    )
    session = surgery.open(config)
    of = {
        name: operation_named(name).of for name in ("remove", "tie", "attach", "narrow", "duplicate", "swap")
    }
    steps = [
        *(of["remove"]("model.layers[70]") for _ in range(5)),
        of["tie"]("model.layers[20]", to="model.layers[19]"),
        of["attach"]("**.{q,v}_proj"),
        of["narrow"]("model.layers[30:40]", "neurons", ratio=0.5),
        of["duplicate"]("model.layers[3:5]"),
        of["swap"]("model.layers[3]", "model.layers[9]"),
    ]
    inputs = session.opened.inputs
    found = side_by_side(
        {
            "preview of ten steps": lambda: session.preview(*steps),
            "trace of the model": lambda: extract(session.opened.model, inputs),
        },
        rounds=ROUNDS,
    )
    rows = [(name, ms(seconds), ratio(seconds, PREVIEW_S)) for name, seconds in found.items()]
    return Table(
        "Previews of a 70B without weights",
        "Ten steps in under 200 ms.",
        ("what", "median", "of 200 ms"),
        tuple(rows),
    )
