"""From sums per example to figures with intervals."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from surgery.evaluate.figure import Figure, Quantity
from surgery.evaluate.measure import Sums
from surgery.evaluate.statistics import Interval, intervals, units
from surgery.evaluate.subject import Subject
from surgery.evaluate.tasks.contract import Task


def summarised(
    task: Task, batches: Sequence[Sums], subject: Subject, documents: Tensor | None, *, seed: int
) -> tuple[list[Figure], list[str]]:
    """The figures of a task from its sums, batch by batch, and a sentence for each that is no number.

    `documents` (examples,): which text each of the examples is of, in the same order.
    """
    after = torch.cat([sums.after for sums in batches])
    before = torch.cat([sums.before for sums in batches if sums.before is not None] or [after[:0]])
    found, lost = list[Figure](), list[str]()
    for figure in _figures(task, before, after, subject, documents, seed):
        if isinstance(figure, str):
            lost.append(figure)
        else:
            found.append(figure)
    return found, lost


def _figures(
    task: Task, before: Tensor, after: Tensor, subject: Subject, documents: Tensor | None, seed: int
) -> Iterator[Figure | str]:
    columns, paired = after.shape[1], len(before) > 0
    rows = torch.cat([before, after], 1) if paired else after

    def change(sums: Tensor) -> Tensor:
        return task.figures(sums[..., columns:]) - task.figures(sums[..., :columns])

    bounds = intervals(change if paired else task.figures, units(rows, documents), seed=seed)
    now = task.figures(after.sum(0))
    was = task.figures(before.sum(0)) if paired else None
    for place, quantity in enumerate(task.quantities(subject)):
        values = [float(now[place]), *([float(was[place])] if was is not None else [])]
        ends = [] if bounds is None else bounds[place].tolist()
        if any(map(math.isnan, values)):
            yield f"Nothing that counts for {quantity.name} was among the {len(after):,} examples measured."
            continue
        if not all(map(math.isfinite, (*values, *ends))):
            yield f"The {quantity.name} is beyond what can be written as a number: it is left out."
            continue
        yield Figure(
            task.name,
            quantity.name,
            quantity.unit,
            quantity.better,
            quantity.decimals,
            before=values[1] if paired else None,
            after=values[0],
            interval=Interval(*_within(ends, quantity)) if ends else None,
            perfect=quantity.perfect,
        )


def _within(ends: list[float], quantity: Quantity) -> list[float]:
    """Bounds that do not lie beyond perfect."""
    if quantity.perfect is None:
        return ends
    nearer = min if quantity.better == "higher" else max
    return [nearer(end, quantity.perfect) for end in ends]
