"""What operators do to labels: which entries they join, and where they carry them.

A rule gets the joined labels, the operator's arguments with a `Labelled` in place of each tensor, and
gives the labels of what it returns. An operator without a rule fixes all that it reads: what isn't
understood can't be cut. The rules are in `mixing` and `moving`, which `graph.coupling` imports.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from graph.coupling.labels import Joined, Labels


@dataclass(eq=False)
class Labelled:
    """A tensor's sizes and the labels along each dimension."""

    shape: tuple[int, ...]
    dims: list[Labels]


Dims = list[Labels]
Rule = Callable[..., Dims]
RULES: dict[str, Rule] = {}
REORDERED: dict[str, Rule] = {}
"""Rules in their place where units stay and only change places."""
RESHAPED: dict[str, Rule] = {}
"""Rules that get the shape that came out, whatever was asked for."""
SPLIT: dict[str, Callable[..., list[Dims]]] = {}
"""Rules of operators that return several tensors worth a label."""


def rule(*names: str) -> Callable[[Rule], Rule]:
    """Registers the rule of operators by their names."""

    def register(made: Rule) -> Rule:
        RULES.update(dict.fromkeys(names, made))
        return made

    return register


def rule_of(operator: Any) -> Rule | None:
    """The rule of an ATen operator, by its name; None if there is none."""
    name = operator._schema.name.removeprefix("aten::")
    found = RULES.get(name)
    if found is None and (torch.Tag.pointwise in operator.tags or name.rstrip("_") in _ELEMENTWISE):
        return pointwise
    return found


_ELEMENTWISE = frozenset({"hardswish", "_prelu_kernel", "copy", "celu", "selu", "threshold", "zero", "fill"})


def pointwise(joined: Joined, *args: Any, **named: Any) -> Dims:
    """Entries that meet are one unit; a size of 1 is there for all."""
    tensors = [value for value in (*args, *named.values()) if isinstance(value, Labelled)]
    rank = max(len(tensor.shape) for tensor in tensors)
    out: Dims = []
    for place in range(-rank, 0):
        here = [(item.shape[place], item.dims[place]) for item in tensors if len(item.shape) >= -place]
        size = max(size for size, _ in here)
        out.append(met(joined, size, here))
    return out


def met(joined: Joined, size: int, here: list[tuple[int, Labels]]) -> Labels:
    """The labels of entries that meet, of sizes and labels; those of a size of 1 are left out."""
    full = [labels for length, labels in here if length == size]
    labelled = [labels for labels in full if labels is not None]
    for labels in labelled[1:]:
        joined.same(labelled[0], labels)
    if len(labelled) < len(full):  # something beside them has no labels and would keep its size
        joined.fix(*labelled)
    return labelled[0] if labelled else None
