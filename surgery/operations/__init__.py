"""The operations that ship: one a file, which is called as the operation is, imported when it is asked for.

Those that merge with other checkpoints have a folder of their own.
"""

from __future__ import annotations

import re
from functools import cache
from importlib import import_module

from surgery.operation import Operation

PLACES = {
    place.rpartition(".")[2]: place
    for place in (
        *("remove", "keep", "shorten", "move", "swap", "duplicate"),
        *("tie", "untie", "recur", "multiplex", "share_atoms", "share_heads", "multiply_out", "merge"),
        *("sparsify", "wanda", "sparse_gpt", "narrow", "prune", "low_rank", "tucker", "pad"),
        *("attach", "adopt", "detach", "fold", "activate", "combine"),
        *("merging.soup", "merging.task_arithmetic", "merging.ties", "merging.dare", "merging.della"),
        *("merging.breadcrumbs", "merging.sce", "merging.ram", "merging.model_stock", "merging.slerp"),
        *("merging.nuslerp", "merging.multislerp", "merging.karcher", "merging.nearswap"),
        *("merging.arcee_fusion", "merging.regmean", "merging.fisher", "merging.rebasin"),
        "merging.otfusion",
        *("scale", "cast", "freeze", "skip", "insert", "replace", "wrap", "recalibrate"),
        *("rewrites.fold_norm", "rewrites.absorb_norm", "rewrites.to_rms_norm", "permute"),
        *("rewrites.reparameterize", "rewrites.grow", "rewrites.widen"),
        *("upcycle", "merge_experts", "stitch"),
    )
}
"""Where each operation is, by name, in the order of menus."""


@cache
def shipped(name: str) -> type[Operation]:
    """The operation that ships by this name."""
    module = import_module(f"surgery.operations.{PLACES[name]}")
    classes = (value for value in vars(module).values() if isinstance(value, type))
    return next(cls for cls in classes if issubclass(cls, Operation) and getattr(cls, "name", None) == name)


def all_shipped() -> tuple[type[Operation], ...]:
    """All of them, in the order of menus."""
    return tuple(map(shipped, PLACES))


def __getattr__(name: str) -> type[Operation]:
    called = re.sub("(?<!^)(?=[A-Z])", "_", name).lower()
    if called in PLACES and shipped(called).__name__ == name:
        return shipped(called)
    raise AttributeError(f"module 'surgery.operations' has no attribute {name!r}")
