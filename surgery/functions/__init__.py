"""The functions that recipes name. Importing this package registers them all."""

from surgery.functions import (
    agreement,
    arithmetic,
    atoms,
    drawn,
    initial,
    layout,
    magnitude,
    ranks,
    residuals,
    row_spheres,
    selections,
    spheres,
    task_vectors,
    units,
)

__all__ = [
    "agreement",
    "arithmetic",
    "atoms",
    "drawn",
    "initial",
    "layout",
    "magnitude",
    "ranks",
    "residuals",
    "row_spheres",
    "selections",
    "spheres",
    "task_vectors",
    "units",
]
