"""The functions that recipes name. Importing this package registers them all."""

from surgery.functions import (
    agreement,
    arithmetic,
    brain_surgeon,
    drawn,
    initial,
    layout,
    lightest,
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
    "brain_surgeon",
    "drawn",
    "initial",
    "layout",
    "lightest",
    "magnitude",
    "ranks",
    "row_spheres",
    "selections",
    "spheres",
    "task_vectors",
    "units",
]
