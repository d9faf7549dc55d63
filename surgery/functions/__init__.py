"""The functions that recipes name. Importing this package registers them all."""

from surgery.functions import (
    agreement,
    arithmetic,
    drawn,
    experts,
    initial,
    layout,
    magnitude,
    ranks,
    row_spheres,
    selections,
    spheres,
    task_vectors,
    units,
)

__all__ = [
    "agreement",
    "arithmetic",
    "drawn",
    "experts",
    "initial",
    "layout",
    "magnitude",
    "ranks",
    "row_spheres",
    "selections",
    "spheres",
    "task_vectors",
    "units",
]
