"""The functions that recipes name. Importing this package registers them all."""

from surgery.functions import (
    agreement,
    arithmetic,
    drawn,
    factors,
    initial,
    layout,
    magnitude,
    ranks,
    row_spheres,
    selections,
    spheres,
    task_vectors,
    tucker,
    units,
)

__all__ = [
    "agreement",
    "arithmetic",
    "drawn",
    "factors",
    "initial",
    "layout",
    "magnitude",
    "ranks",
    "row_spheres",
    "selections",
    "spheres",
    "task_vectors",
    "tucker",
    "units",
]
