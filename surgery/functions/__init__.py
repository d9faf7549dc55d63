"""The functions that recipes name. Importing this package registers them all."""

from surgery.functions import (
    adapters,
    agreement,
    arithmetic,
    drawn,
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
    "adapters",
    "agreement",
    "arithmetic",
    "drawn",
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
