"""The shelf's state as `shelf/protocol.ts` describes it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from surgery.adapters.kinds import KINDS
from surgery.errors import SurgeryError
from widgets.shelf.columns import Section, cells
from widgets.shelf.row import Row

ON_SHELF = ("lora", "dora", "ia3")
"""Kinds of adapters of which there are cards."""

Figures = dict[str, float]
"""By the path of a cell."""


def columns_state(columns: Sequence[Section]) -> list[dict[str, Any]]:
    """The sections; a cell's path is its section's with the label behind it, or the section's own."""
    return [
        {
            "path": section.path,
            "title": section.title,
            "strip": section.strip,
            "labels": [path.rpartition(".")[2] for path in section.paths],
            "depths": [round(depth, 4) for depth in section.depths],
        }
        for section in columns
    ]


def row_state(row: Row, columns: tuple[Section, ...], figures: Figures) -> dict[str, Any]:
    """One parent: what it is, what is said of it, a figure per cell, and the cells where it does not fit."""
    paths = cells(columns)
    reasons, gaps, dots = list[str](), list[list[int]](), list[list[int]]()
    for place, path in enumerate(paths if row.fit is not None else ()):
        assert row.fit is not None
        if (refused := row.fit.refused.get(path)) is not None:
            reason = _without_path(refused)
            if reason not in reasons:
                reasons.append(reason)
            gaps.append([place, reasons.index(reason)])
        if touched := row.fit.touched.get(path):
            dots.append([place, len(touched)])
    values = [_rounded(figures.get(path)) for path in paths] if figures else []
    return {
        "alias": row.alias,
        "source": row.source,
        "kind": "adapter" if row.is_adapter else "checkpoint",
        "status": row.status,
        "text": _said(row, paths),
        "hint": row.error.hint if row.error is not None else None,
        "counts": row.counts,
        "weight": list(row.curve),
        "values": values,
        "reasons": reasons,
        "gaps": gaps,
        "dots": dots,
    }


def kinds_state() -> list[dict[str, str]]:
    """Adapters that `attach` makes anew; its form has all kinds, the shelf three of them."""
    return [{"adapter": name, "title": KINDS[name].title} for name in ON_SHELF]


def problem_state(error: SurgeryError | None) -> dict[str, Any] | None:
    """A refusal as a sentence and its way out."""
    return None if error is None else {"text": error.sentence(with_hint=False), "hint": error.hint}


def _said(row: Row, paths: list[str]) -> str:
    """What the row says beneath its name."""
    if row.error is not None:
        return row.error.sentence(with_hint=False)
    if row.fit is None:
        return f"reading {row.source} …"
    refused, beyond = len(row.fit.refused), row.fit.beyond
    parts = []
    if row.is_adapter:
        modules = sum(map(len, row.fit.touched.values()))
        parts.append(f"{modules} module{'' if modules == 1 else 's'} adapted")
    if refused:
        path, error = next(iter(row.fit.refused.items()))
        parts.append(f"{len(paths) - refused} of {len(paths)} parts fit; {path}: {_without_path(error)}")
    if beyond:
        more = "tensor" if len(beyond) == 1 else f"{len(beyond)} tensors"
        parts.append(f"{more} more than this model: {beyond[0]}{' …' if len(beyond) > 1 else ''}")
    return "; ".join(parts) or "fits everywhere"


def _without_path(error: SurgeryError) -> str:
    said = SurgeryError(error.problem, got=error.got, expected=error.expected, hint=error.hint)
    return str(said).replace("`", "")


def _rounded(value: float | None) -> float | None:
    """Three digits: it becomes a colour and a word."""
    return None if value is None else float(f"{value:.3g}")
