"""Charts of adapters: how much each changes the weight it adapts, and what a rank keeps of several."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch

from surgery.adapters.folding import changed_by
from surgery.adapters.lora import LowRank
from surgery.adapters.stacks import Stack, outermost, root_path
from surgery.charts import Bars, Curves, Heat
from surgery.charts.names import told_apart
from surgery.model import Patient
from surgery.recipes import compute

MOST_BARS, MOST_LINES = 48, 8


def sizes(patient: Patient, found: Stack) -> Bars | Heat | None:
    """‖ΔW‖ / ‖W‖ of each adapter by itself at its strength.

    A heat map of roles over blocks where there are several of both; else bars, the active ones marked. None
    where no adapter is a change of a weight. Of one at several paths the first counts.
    """
    once = {id(adapter): (path, adapter) for path, adapter in reversed(found) if adapter.unfoldable is None}
    stack = list(once.values())[::-1]
    if not stack:
        return None
    outer = [outermost(patient, path) for path, _ in stack]
    several = len({adapter.name for _, adapter in stack}) > 1
    said = [
        (f" {adapter.name}" if several else "") + ("" if adapter.active else " (off)") for _, adapter in stack
    ]
    title, unit = "Change of the weight by each adapter", "‖ΔW‖ / ‖W‖"
    cells = _cells(outer, said)
    rows, columns = (tuple(dict.fromkeys(part)) for part in zip(*cells, strict=True)) if cells else ((), ())
    if len(rows) > 1 and len(columns) > 1 and len(set(cells)) == len(cells):
        known = {
            cell: _size(patient, place, item) for cell, place, item in zip(cells, outer, stack, strict=True)
        }
        values = tuple(tuple(known.get((row, column)) for column in columns) for row in rows)
        return Heat(title=title, rows=rows, columns=columns, values=values, unit=unit)
    shown = stack[:MOST_BARS]
    labels = [place + more for place, more in zip(_short(outer), said, strict=True)]
    return Bars(
        title=title + (f", {MOST_BARS} of {len(stack)}" if len(stack) > MOST_BARS else ""),
        labels=tuple(labels[:MOST_BARS]),
        values=tuple(
            _size(patient, place, item) for place, item in zip(outer[:MOST_BARS], shown, strict=True)
        ),
        unit=unit,
        marked=tuple(at for at, (_, adapter) in enumerate(shown) if adapter.active),
    )


def _cells(paths: list[str], said: list[str]) -> list[tuple[str, str]]:
    """What each is in its block, and the number of the block; nothing if not all are in blocks."""
    found: list[tuple[str, str]] = []
    for path, more in zip(paths, said, strict=True):
        number, role = _around_number(path)
        if not number or not role:
            return []
        found.append((role.rpartition(".")[2] + more, number))
    return found


def _around_number(path: str) -> tuple[str, str]:
    parts = path.split(".")
    at = next((place for place, part in enumerate(parts) if part.isdigit()), len(parts) - 1)
    return parts[at] if parts[at].isdigit() else "", ".".join(parts[at + 1 :])


def _short(paths: list[str]) -> list[str]:
    """The paths without the segments that all have in common, wherever these are."""
    parts = [path.split(".") for path in paths]
    if len({len(part) for part in parts}) == 1 and len(set(paths)) > 1:
        places = [at for at in range(len(parts[0])) if len({part[at] for part in parts}) > 1]
        return [".".join(part[at] for at in places) for part in parts]
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
    short = _short(list(lines))
    return Curves(
        title="What a rank keeps of the adapters together",
        lines=dict(zip(short, lines.values(), strict=True)),
        x="rank",
        y="part of ‖ΔW‖²",
        mark=float(rank),
    )
