"""The groups of a model: units side by side that can go alone, with their place in every tensor."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, partial

from torch import nn

from graph.coupling.following import Counted, Flow, Numbers, Reordered, followed
from graph.coupling.streamed import Streamed
from graph.tracing.trace import Inputs

Sections = tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class Place:
    """Where units lie in the tensor at `path`, along `dim`.

    Each of `sections` is (start, size): unit i has the `size` entries from `start + i * size` on.
    """

    path: str
    dim: int
    sections: Sections


@dataclass(frozen=True)
class Group:
    """`count` units, in the same order at each of their places; whole units can go, the rest runs on."""

    count: int
    places: tuple[Place, ...]


class Coupling:
    """The groups of a model, and the plain numbers that its forward computes with.

    `numbers` are (operator, numbers) of each elementwise operator in turn. If they change with the number
    of units, the forward has counted them.
    """

    def __init__(self, flow: Flow) -> None:
        self._flow = flow
        self.numbers: tuple[Numbers, ...] = tuple(flow.numbers)

    @cached_property
    def groups(self) -> tuple[Group, ...]:
        """All groups, in the order of the tree."""
        return tuple(_groups(self._flow))


def couple(model: nn.Module, inputs: Inputs) -> Coupling:
    """All groups of `model` as its forward on fakes of `inputs` couples them, in the order of the tree.

    Without a unit the model computes what it computed with the weights that read the unit's outputs set
    to zero. What goes into the model or comes out of it is never cut, nor what an operator without a
    rule has read (see `graph.coupling.rules`). A place names one path of a tied tensor, the first. Raises
    NotCoupled for a forward that asks for values, or that raises.
    """
    return Coupling(followed(model, inputs, Flow))


def reorderable(model: nn.Module, inputs: Inputs) -> Coupling:
    """The groups whose units may change places together: in another order the model computes the same.

    More than `couple` finds, since norms, sums and a softmax over all units do not mind their order, and an
    embedding's columns are units too. What goes in or comes out keeps its order. Raises NotCoupled as there.
    """
    return Coupling(followed(model, inputs, Reordered))


def streams(model: nn.Module, inputs: Inputs, norms: Sequence[str]) -> tuple[Group, ...]:
    """The groups of `model` that can go where the norms at the paths `norms` are cut with what they read.

    More than `couple` finds: columns of embeddings, and what a norm over all units looks at. Without a unit
    these norms compute something else, unless their gains make up for it. Raises NotCoupled as there.
    """
    return tuple(_groups(followed(model, inputs, partial(Streamed, norms=norms))))


def numbers(model: nn.Module, inputs: Inputs) -> tuple[Numbers, ...]:
    """The `numbers` of the model's `Coupling`, in less time; raises NotCoupled as `couple` does."""
    return tuple(followed(model, inputs, Counted).numbers)


def _groups(flow: Flow) -> Iterator[Group]:
    """Units that lie in the same tensors along the same dimensions, equally often, are one group."""
    for _, tensor, labelled in flow.stored:
        if id(tensor) not in flow.read:
            flow.joined.fix(*labelled.dims)
    along = [
        (number, dim, labels)
        for number, (_, _, labelled) in enumerate(flow.stored)
        for dim, labels in enumerate(labelled.dims)
        if isinstance(labels, range)  # as all are that a stored tensor has
    ]
    rows: dict[tuple[int, ...], list[tuple[int, int]]] = {}  # the places where the same units lie in a row
    units_along = flow.joined.units([labels for _, _, labels in along])
    for (number, dim, _), units in zip(along, units_along, strict=True):
        rows.setdefault(units, []).append((number, dim))
    lies_in: dict[int, list[int]] = {}  # by unit the rows it is in, each as often as the unit is
    for index, row in enumerate(rows):
        for unit in row:
            if unit >= 0:
                lies_in.setdefault(unit, []).append(index)
    alike: dict[tuple[int, ...], list[int]] = {}
    for unit, within in lies_in.items():
        alike.setdefault(tuple(within), []).append(unit)
    known = list(rows.items())
    for indices, together in alike.items():
        found: list[tuple[tuple[int, int], Sections]] = []
        for index in dict.fromkeys(indices):
            row, places = known[index]
            sections = _sections(row, together, indices.count(index))
            if sections is None:
                break
            found += [(place, sections) for place in places]
        else:
            found.sort()
            lying = (Place(flow.stored[number][0], dim, sections) for (number, dim), sections in found)
            yield Group(len(together), tuple(lying))


def _sections(row: tuple[int, ...], units: list[int], times: int) -> Sections | None:
    """(start, size) of what the units, each `times` in the row, have in turn; None if that is no order."""
    found: list[tuple[int, int]] = []
    index = -1
    for _ in range(times):
        index = row.index(units[0], index + 1)
        if found and sum(found[-1]) == index:
            found[-1] = (found[-1][0], found[-1][1] + 1)
        else:
            found.append((index, 1))
    for start, size in found:
        expected = tuple(unit for unit in units for _ in range(size))
        if row[start : start + len(expected)] != expected:
            return None
    return tuple(found)
