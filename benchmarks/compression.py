"""Training-free ways to a smaller decoder, side by side: parameters against perplexity, and a picture of it.

Nothing is promised: nobody trains after the cut, which some of these are meant for.
"""

from __future__ import annotations

from typing import Any

from benchmarks.low_rank import TARGETS, WINDOWS, cut, parameters, prepared
from benchmarks.tables import RESULTS, Table
from surgery.charts import Curves

BLOCKS = "model.layers[*]"
WAYS: dict[str, tuple[str, list[tuple[str, dict[str, Any]]]]] = {
    "depth: shorten, greedy": ("shorten", [(BLOCKS, {"count": n, "by": "greedy"}) for n in (1, 2, 3)]),
    "depth: shorten, influence": ("shorten", [(BLOCKS, {"count": n}) for n in (1, 2, 3)]),
    "factors: low_rank, distortion": (
        "low_rank",
        [
            (TARGETS, {"size": size, "spread": "distortion", "samples": 2})
            for size in (0.8, 0.6, 0.5, 0.4, 0.3)
        ],
    ),
    "factors: low_rank, one rank": ("low_rank", [(TARGETS, {"rank": rank}) for rank in (56, 48, 40, 32, 24)]),
    "ties: recur, loop of 2": (
        "recur",
        [(BLOCKS, {"loop": 2, "start": "average", "rank": rank}) for rank in (64, 48, 32, 24, 16)],
    ),
    "ties: share_atoms": (
        "share_atoms",
        [("**.{q,k,v,o,gate,up,down}_proj", {"atoms": atoms}) for atoms in (9, 8, 7, 6)],
    ),
    "heads: share_heads": ("share_heads", [("**", {"ratio": ratio}) for ratio in (0.2, 0.4)]),
    "widths: narrow neurons": ("narrow", [("**", {"ratio": ratio}) for ratio in (0.1, 0.2, 0.3)]),
}
MOST = 8.0
"""Perplexity beyond which the picture does not go."""


def tables() -> list[Table]:
    """Perplexity after each way and the parameters that are left; the picture lies beside the results."""
    session = prepared()
    whole, rows = parameters(session), list[tuple[str, ...]]()
    lines: dict[str, tuple[tuple[float, float], ...]] = {}
    for way, (name, cuts) in WAYS.items():
        points = []
        for targets, fields in cuts:
            left, found = cut(session, name, targets, **fields)
            said = ", ".join(f"{key} {value}" for key, value in fields.items())
            rows.append((way, said, f"{left:,}", f"{left / whole:.0%}", f"{found.after:.3f}"))
            print(*rows[-1], flush=True)
            points.append((left / whole, found.after))
        shown = [(1.0, found.before), *points]
        lines[way] = tuple(sorted(point for point in shown if point[1] <= MOST))
    rows.append(("before", "", f"{whole:,}", "100%", f"{found.before:.3f}"))
    Curves(
        title="Smaller without training", lines=lines, x="part of the parameters that is left", y="perplexity"
    ).write(RESULTS / "compression.svg")
    return [
        Table(
            "Smaller without training",
            f"The demonstration decoder, {WINDOWS} held-out windows; picture: `compression.svg`.",
            ("way", "values", "parameters left", "of all", "perplexity"),
            tuple(rows),
        )
    ]
