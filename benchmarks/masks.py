"""Masks of wanda and sparse_gpt beside those of plain references, on a block of the demonstration decoder.

Promise: every entry of every mask is the same.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

import surgery
from benchmarks.tables import Table
from surgery.registry import operation_named
from tests.surgery.calibration.models import given_to
from tests.surgery.calibration.references import surgeon, wanda_mask

BLOCK = "model.layers.3"
LAYERS = ("self_attn.q_proj", "self_attn.o_proj", "mlp.gate_proj", "mlp.down_proj")
BATCHES = 8
Runs = tuple[int, int] | None
FORMS: tuple[tuple[str, Runs], ...] = (("unstructured", None), ("2:4", (2, 4)))


def tables() -> list[Table]:
    """How many entries of the masks differ, over layers that are given four different inputs."""
    rows = []
    for name, reference in (("wanda", _wanda), ("sparse_gpt", _sparse_gpt)):
        for pattern, runs in FORMS:
            rows.append((name, pattern, *_compared(name, pattern, runs, reference)))
            print(*rows[-1], flush=True)
    return [
        Table(
            "Masks",
            f"Half of {len(LAYERS)} layers of {BLOCK}, {BATCHES} batches of text; every entry the same.",
            ("operation", "pattern", "entries", "that differ", "largest difference of a weight"),
            tuple(rows),
        )
    ]


def _compared(
    name: str, pattern: str, runs: Runs, reference: Callable[[Tensor, Tensor, Runs], Tensor]
) -> tuple[str, str, str]:
    session = surgery.open("demo")
    session.data = data = [_with_mask(batch) for batch in session.data[:BATCHES]]
    targets = ", ".join(f"{BLOCK}.{layer}" for layer in LAYERS)
    fields: dict[str, Any] = {"targets": targets, "pattern": pattern, "sequential": False}
    session.apply(operation_named(name).from_fields(fields))
    entries, differ, furthest = 0, 0, 0.0
    for layer in LAYERS:
        path = f"{BLOCK}.{layer}"
        before, made = (
            model.get_submodule(path).get_parameter("weight").detach()
            for model in (session.opened.model, session.model)
        )
        expected = reference(before, given_to(session.opened.model, path, data), runs)
        entries += made.numel()
        differ += int(((made == 0) != (expected == 0)).sum())
        furthest = max(furthest, float((made.double() - expected.double()).abs().max()))
    return f"{entries:,}", f"{differ:,}", f"{furthest:.1e}"


def _with_mask(batch: dict[str, Tensor]) -> dict[str, Tensor]:
    return {"attention_mask": torch.ones_like(batch["input_ids"])} | batch


def _wanda(weight: Tensor, given: Tensor, runs: Runs) -> Tensor:
    return weight.masked_fill(wanda_mask(weight, given, 0.5, runs), 0.0)


def _sparse_gpt(weight: Tensor, given: Tensor, runs: Runs) -> Tensor:
    return surgeon(weight, (given.T @ given).float().double(), 0.5, runs, 128, 0.01)
