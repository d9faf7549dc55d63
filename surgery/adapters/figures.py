"""Charts of adapters: how much each changes the weight it adapts, and what a rank keeps of several."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch

from surgery.adapters.folding import changed_by
from surgery.adapters.lora import LowRank
from surgery.adapters.stacks import Stack, outermost, root_path
from surgery.charts import Bars, Curves
from surgery.charts.names import told_apart
from surgery.model import Patient
from surgery.recipes import compute

MOST_BARS, MOST_LINES = 48, 8


def sizes(patient: Patient, found: Stack) -> Bars | None:
    """‖ΔW‖ / ‖W‖ of each adapter by itself at its strength, those that are active marked.

    None where no adapter is a change of a weight. Of one at several paths the first counts.
    """
    once = {id(adapter): (path, adapter) for path, adapter in reversed(found) if adapter.unfoldable is None}
    stack = list(once.values())[::-1]
    if not stack:
        return None
    shown = stack[:MOST_BARS]
    outer = [outermost(patient, path) for path, _ in shown]
    names = list(dict.fromkeys(adapter.name for _, adapter in stack))
    labels = [
        f"{place} {adapter.name}" if len(names) > 1 else place
        for place, (_, adapter) in zip(_short(outer), shown, strict=True)
    ]
    title = "Change of the weight by each adapter"
    return Bars(
        title=title + (f", {MOST_BARS} of {len(stack)}" if len(stack) > MOST_BARS else ""),
        labels=tuple(labels),
        values=tuple(_size(patient, place, item) for place, item in zip(outer, shown, strict=True)),
        unit="‖ΔW‖ / ‖W‖",
        marked=tuple(at for at, (_, adapter) in enumerate(shown) if adapter.active),
    )


def _short(paths: list[str]) -> list[str]:
    known = list(dict.fromkeys(paths))
    return [dict(zip(known, told_apart(known), strict=True))[path] for path in paths]


def _size(patient: Patient, outer: str, item: tuple[str, object]) -> float:
    weight = patient.tensor(f"{root_path(patient, outer)}.weight")
    path, adapter = item
    changed = changed_by(patient, outer, [(path, adapter)])  # type: ignore[list-item]
    before = compute(weight, {}).float()
    after = compute(changed["weight"], {}).float()
    return float((after - before).norm() / before.norm().clamp_min(torch.finfo(torch.float32).tiny))


def kept_by_rank(
    patient: Patient, sites: Iterable[tuple[str, Sequence[tuple[str, LowRank]], Sequence[float]]], rank: int
) -> Curves:
    """How much of Σ wᵢ sᵢ Bᵢ Aᵢ each rank keeps, as a part of its squared size, with a mark at `rank`.

    `sites`: path, the adapters there with their paths, and their weights.
    """
    lines: dict[str, tuple[tuple[float, float], ...]] = {}
    for path, members, weights in list(sites)[:MOST_LINES]:
        total = torch.zeros(())
        for weight, (place, item) in zip(weights, members, strict=True):
            names = list(item._parameters)
            down, up = (compute(patient.tensor(f"{place}.{name}"), {}).flatten(1).float() for name in names)
            total = total + weight * item.scale * up @ down
        energy = torch.linalg.svdvals(total).square()
        most = min(sum(item.rank for _, item in members), energy.numel())
        parts = (energy.cumsum(0) / energy.sum().clamp_min(1e-30))[:most].tolist()
        lines[path] = ((0.0, 0.0), *((float(number), part) for number, part in enumerate(parts, 1)))
    short = told_apart(list(lines))
    return Curves(
        title="What a rank keeps of the adapters together",
        lines=dict(zip(short, lines.values(), strict=True)),
        x="rank",
        y="part of ‖ΔW‖²",
        mark=float(rank),
    )
