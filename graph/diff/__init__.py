"""Two graphs compared: `align` pairs their modules, `difference` says what is different, `retied` in ties."""

from graph.diff.difference import (
    Changed,
    Figures,
    GraphDiff,
    Moved,
    Part,
    Resized,
    Revalued,
    diff,
    diff_to_json,
)
from graph.diff.retied import Retied

__all__ = [
    "Changed",
    "Figures",
    "GraphDiff",
    "Moved",
    "Part",
    "Resized",
    "Retied",
    "Revalued",
    "diff",
    "diff_to_json",
]
