"""How unevenly scales lie, and pictures of a number for each module: a row per role, a column per block."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from surgery.charts import Heat
from surgery.charts.names import told_apart

MOST_COLUMNS = 48


def spread(scale: torch.Tensor) -> float:
    """The largest |scale| over the median |scale|; 0 where the median is 0."""
    sizes = scale.detach().double().abs()
    median = float(sizes.median())
    return float(sizes.max()) / median if median else 0.0


def by_block(title: str, values: Mapping[str, float], unit: str) -> Heat:
    """Paths that differ in the number of their block alone are a row; of many blocks some are shown."""
    rows: dict[str, dict[str, float]] = {}
    for path, value in values.items():
        parts = path.removesuffix(".weight").split(".")
        number = next((at for at, part in enumerate(parts) if part.isdigit()), None)
        role = ".".join("*" if at == number else part for at, part in enumerate(parts))
        rows.setdefault(role, {})["" if number is None else parts[number]] = value
    columns = sorted({column for row in rows.values() for column in row}, key=lambda name: int(name or -1))
    if len(columns) > MOST_COLUMNS:
        columns, title = columns[:MOST_COLUMNS], f"{title}, {MOST_COLUMNS} of {len(columns)} blocks"
    return Heat(
        title=title,
        rows=tuple(told_apart(list(rows))),
        columns=tuple(columns),
        values=tuple(tuple(row.get(column) for column in columns) for row in rows.values()),
        unit=unit,
    )
