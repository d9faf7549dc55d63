"""The groups of a model: units side by side that can go alone, with their place in every tensor."""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeVar

import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode

from graph.coupling.labels import Joined
from graph.coupling.rules import RESHAPED, SPLIT, Dims, Labelled, rule_of
from graph.tracing.deep import with_room
from graph.tracing.fakes import fake_mode, fake_shell, given_fake, tensors_in
from graph.tracing.outcomes import shortly
from graph.tracing.shared import uncollected
from graph.tracing.trace import Inputs, arguments, as_before, uncompiled
from graph.tree import join, own_tensors, walk


Sections = tuple[tuple[int, int], ...]
Numbers = tuple[str, tuple[float, ...]]
"""An elementwise operator, and the plain numbers it was given."""


class NotCoupled(Exception):
    """The forward can't be followed on shapes alone, and so nothing is known of what hangs together."""


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

    def __init__(self, flow: "_Flow") -> None:
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
    flow, result = _followed(model, inputs, _Flow)
    for tensor in tensors_in(result):
        flow.joined.fix(*flow.labelled(tensor).dims)
    return Coupling(flow)


def numbers(model: nn.Module, inputs: Inputs) -> tuple[Numbers, ...]:
    """The `numbers` of the model's `Coupling`, in less time; raises NotCoupled as `couple` does."""
    return tuple(_followed(model, inputs, _Counted)[0].numbers)


W = TypeVar("W", bound="_Counted")


def _followed(model: nn.Module, inputs: Inputs, kind: Callable[[nn.Module, FakeTensorMode], W]) -> tuple[W, Any]:
    """A watch of this kind that has seen a forward on fakes of `inputs`, and what came out."""

    def run() -> tuple[W, Any]:
        with as_before(), uncompiled(), torch.inference_mode(False), torch.no_grad():
            mode = fake_mode()
            try:
                copied = fake_shell(model, mode).model
                args, kwargs = arguments(copied, given_fake(inputs, mode))
                watch = kind(copied, mode)
                with mode, watch:
                    return watch, copied(*args, **kwargs)
            except Exception as error:
                raise NotCoupled(f"{type(error).__name__}: {error}") from error

    levels = max(path.count(".") for path, _ in walk(model)) + 1
    with uncollected.at_least(True):
        return with_room(levels, run)


class _Counted(TorchDispatchMode):
    """Notes the plain numbers that one forward computes with."""

    def __init__(self, model: nn.Module, mode: FakeTensorMode) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.mode = mode
        self.numbers: list[Numbers] = []

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # nobody compiles what is only followed, and the guard takes longer than the operator

    def __torch_dispatch__(
        self,
        func: Any,
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        out, _ = shortly(func, self.mode, args, kwargs)
        if torch.Tag.pointwise in func.tags:
            plain = (*args, *kwargs.values())
            self.numbers.append((str(func), tuple(each for each in plain if type(each) in (int, float))))
        return out


class _Flow(_Counted):
    """Carries labels through the operators of one forward."""

    def __init__(self, model: nn.Module, mode: FakeTensorMode) -> None:
        super().__init__(model, mode)
        self.joined = Joined()
        self.known: dict[int, tuple[torch.Tensor, Labelled]] = {}  # tensors are held: no id is used twice
        self.stored: list[tuple[str, torch.Tensor, Labelled]] = []
        self.read: set[int] = set()
        for path, module in walk(model):
            for name, tensor, _ in own_tensors(module):
                if id(tensor) not in self.known:
                    self.stored.append((join(path, name), tensor, self.note(tensor, self._fresh(tensor))))

    def _fresh(self, tensor: torch.Tensor) -> Dims:
        return [self.joined.new(size) if size > 1 else None for size in tensor.shape]

    def note(self, tensor: torch.Tensor, dims: Dims) -> Labelled:
        """From now on the tensor has these labels."""
        made = Labelled(tuple(tensor.shape), dims)
        self.known[id(tensor)] = (tensor, made)
        return made

    def labelled(self, tensor: torch.Tensor) -> Labelled:
        """The tensor's labels; none for one that nobody has seen."""
        known = self.known.get(id(tensor))
        if known is None:
            return Labelled(tuple(tensor.shape), [None] * tensor.dim())
        self.read.add(id(tensor))
        return known[1]

    def __torch_dispatch__(
        self,
        func: Any,
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        out = super().__torch_dispatch__(func, types, args, kwargs)
        given = {id(tensor) for tensor in tensors_in((args, kwargs))}
        made = tensors_in(out)
        everywhere = self._carried(func, args, kwargs, made)
        for tensor, dims in zip(made, everywhere, strict=True):
            if id(tensor) not in given:  # what was written in place keeps its labels
                self.note(tensor, dims)
        return out

    def _carried(self, func: Any, args: Any, kwargs: Any, made: list[torch.Tensor]) -> list[Dims]:
        """The labels of each tensor that came out."""
        none: list[Dims] = [[None] * tensor.dim() for tensor in made]
        seen: list[Labelled] = []

        def stand_in(value: Any) -> Any:
            if isinstance(value, torch.Tensor):
                seen.append(self.labelled(value))
                return seen[-1]
            return [stand_in(item) for item in value] if isinstance(value, list | tuple) else value

        args = [stand_in(value) for value in args]
        kwargs = {name: stand_in(value) for name, value in kwargs.items()}
        asked = func.namespace == "prim"  # for a device, say, and for no value
        if asked or not any(labels is not None for item in seen for labels in item.dims):
            return none
        name = func._schema.name.removeprefix("aten::")
        rule = rule_of(func)
        with contextlib.suppress(TypeError, IndexError, ValueError):  # called as the rule doesn't know
            if name in RESHAPED:
                found = [RESHAPED[name](self.joined, args[0], tuple(made[0].shape))]
            elif name in SPLIT:
                found = SPLIT[name](self.joined, *args, **kwargs)
            elif rule is not None:
                found = [rule(self.joined, *args, **kwargs), *none[1:]]
            else:
                found = []
            if _fits(found, made):
                return found
        self._fix(seen)
        return none

    def _fix(self, seen: list[Labelled]) -> None:
        for item in seen:
            self.joined.fix(*item.dims)


def _fits(found: list[Dims], made: list[torch.Tensor]) -> bool:
    """Whether there is a label, or none, for each entry of what came out."""
    return len(found) == len(made) and all(
        len(dims) == tensor.dim()
        and all(
            labels is None or len(labels) == size for labels, size in zip(dims, tensor.shape, strict=True)
        )
        for dims, tensor in zip(found, made, strict=True)
    )


def _groups(flow: _Flow) -> Iterator[Group]:
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
    rows_of: dict[int, list[int]] = {}  # by unit the rows it is in, each as often as the unit lies there
    for number, units in enumerate(rows):
        for unit in units:
            if unit >= 0:
                rows_of.setdefault(unit, []).append(number)
    alike: dict[tuple[int, ...], list[int]] = {}
    for unit, numbers in rows_of.items():
        alike.setdefault(tuple(numbers), []).append(unit)
    known = list(rows.items())
    for numbers, together in alike.items():
        places: list[tuple[tuple[int, int], Sections]] = []
        for number in dict.fromkeys(numbers):
            row, lying = known[number]
            sections = _sections(row, together, numbers.count(number))
            if sections is None:
                break
            places += [(place, sections) for place in lying]
        else:
            there = (Place(flow.stored[number][0], dim, found) for (number, dim), found in sorted(places))
            yield Group(len(together), tuple(there))


def _sections(row: tuple[int, ...], units: list[int], times: int) -> Sections | None:
    """(start, size) of what the units have of the row in turn, each `times` entries; None if in no such order."""
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
