"""Ways to choose ranks, on the demonstration decoder: parameters against perplexity.

Promises: at every size, ranks by distortion cost no more than by relative energies, these than by absolute,
and each way by inputs no more than by weights.
"""

from __future__ import annotations

from typing import Any

import torch

import surgery
from benchmarks.tables import Table
from surgery import Session
from surgery.demo.text import topics
from surgery.evaluate.figure import Figure
from surgery.registry import operation_named

TARGETS = "model.layers[*].**:Linear"
WINDOWS, WIDTH = 32, 256
"""Held-out windows that are evaluated, and bytes of each."""
SIZES = (0.2, 0.3, 0.4, 0.5, 0.6, 0.7)
WAYS: dict[str, list[dict[str, Any]]] = {
    "one rank": [{"rank": rank} for rank in (16, 24, 32, 40, 48)],
    "energy": [{"energy": part} for part in (0.7, 0.8, 0.85, 0.9, 0.95)],
    "absolute": [{"size": size, "spread": "absolute"} for size in SIZES],
    "relative": [{"size": size} for size in SIZES],
    "distortion": [{"size": size, "spread": "distortion", "samples": 2} for size in SIZES],
    "relative, by inputs": [{"size": size, "by": "inputs"} for size in SIZES],
    "distortion, by inputs": [{"size": size, "by": "inputs", "spread": "distortion"} for size in (0.3, 0.5)],
}


def tables() -> list[Table]:
    """Perplexity on the held-out text after each way, and the parameters that are left."""
    session, many = prepared(), surgery.open("demo").data
    few = session.data
    rows: list[tuple[str, ...]] = []
    for way, all_fields in WAYS.items():
        for fields in all_fields:
            session.data = many if "by" in fields else few
            left, found = cut(session, "low_rank", TARGETS, **fields)
            value = next(iter(fields.values()))
            rows.append((way, f"{value:g}", f"{left:,}", f"{found.after:.3f}"))
            print(*rows[-1], flush=True)
    rows.append(("before", "", f"{parameters(session):,}", f"{found.before:.3f}"))
    return [
        Table(
            "Linear layers of low rank",
            f"All linear layers of the blocks of the demonstration decoder, {WINDOWS} held-out windows.",
            ("ranks by", "value", "parameters left", "perplexity"),
            tuple(rows),
        )
    ]


def prepared() -> Session:
    """The demonstration decoder with two windows of its training text to measure on."""
    session = surgery.open("demo")
    text = "".join(topics("train")).encode()[: 2 * WIDTH]
    session.data = [{"input_ids": torch.tensor(list(text)).view(2, WIDTH)}]
    return session


def cut(session: Session, name: str, *arguments: Any, **fields: Any) -> tuple[int, Figure]:
    """The parameters that an edit leaves, and perplexity before and after; the edit is taken back."""
    session.apply(operation_named(name).of(*arguments, **fields))
    left = parameters(session)
    report = session.evaluate(1e9, session.evaluator().examples.first(WINDOWS), tasks=["perplexity"])
    session.undo()
    return left, report["perplexity"]


def parameters(session: Session) -> int:
    """Parameters, shared ones once."""
    return sum(parameter.numel() for parameter in session.model.parameters())
