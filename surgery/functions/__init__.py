"""The functions that recipes name. Importing this package registers them all."""

from surgery.functions import (
    agreement,
    arithmetic,
    brain_surgeon,
    drawn,
    factors,
    initial,
    layout,
    lightest,
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
    "brain_surgeon",
    "drawn",
    "factors",
    "initial",
    "layout",
    "lightest",
    "magnitude",
    "ranks",
    "row_spheres",
    "selections",
    "spheres",
    "task_vectors",
    "tucker",
    "units",
]
