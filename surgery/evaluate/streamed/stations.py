"""Where a forward waits for weights: at the modules that are taped, and at the head."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from surgery.evaluate.streamed.weights import Weights
from surgery.evaluate.tape.boundaries import boundaries
from surgery.lazy import Lazy


@dataclass(frozen=True)
class Slot:
    """A place for a tensor: `held` are the parameters or the buffers of a module."""

    held: dict[str, Tensor | None]
    name: str
    lazy: Lazy

    def fill(self, tensor: Tensor) -> Tensor | None:
        """Puts a tensor there; gives what was there."""
        before = self.held[self.name]
        parameter = isinstance(before, nn.Parameter)
        self.held[self.name] = nn.Parameter(tensor, requires_grad=False) if parameter else tensor
        return before


Call = Callable[["Station", Callable[..., Any], tuple[Any, ...], dict[str, Any]], Any]
"""What runs a station: the station, the module's forward, and its arguments."""


class Station:
    """Stands for the forward of `module`, at `path`, whose weights are there only while it runs.

    `lazies` are what its slots stand for, and what these are made from.
    """

    taped = True

    def __init__(self, path: str, module: nn.Module, weights: Weights, call: Call) -> None:
        self.path, self.module, self.call = path, module, call
        self.slots = list(slots(module, weights))
        needed = (item for slot in self.slots for item in weights.needed(slot.lazy))
        self.lazies = tuple(dict.fromkeys(needed))
        weights.refuse_large(path, self.lazies)
        self.forward: Callable[..., Any] = module.forward
        self.__wrapped__ = self.forward  # what asks for the arguments of a forward looks here

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.call(self, self.forward, args, kwargs)

    @contextmanager
    def filled(self, tensors: Mapping[Lazy, Tensor]) -> Iterator[None]:
        """Within, the module has its weights."""
        before = [(slot, slot.fill(tensors[slot.lazy])) for slot in self.slots]
        try:
            yield
        finally:
            for slot, was in before:
                slot.held[slot.name] = was

    @property
    def count(self) -> int:
        """How many elements its weights have."""
        return sum(slot.lazy.count for slot in self.slots)


def slots(module: nn.Module, weights: Weights) -> Iterator[Slot]:
    """The places at and below a module whose tensors are not there."""
    for below in module.modules():
        for held in (below._parameters, below._buffers):
            for name, tensor in held.items():
                lazy = None if tensor is None else weights.lazy(tensor)
                if lazy is not None:
                    yield Slot(held, name, lazy)


def stations(model: nn.Module, weights: Weights, call: Call) -> list[Station]:
    """Makes the taped modules of `model` and its head wait for their weights; gives them.

    What no station holds, such as parameters of the model's own, is put in its place for good.
    """
    asked: Any = getattr(model, "get_output_embeddings", None)
    found = boundaries(model)
    head = asked() if callable(asked) else None
    places = {path: module for path, module in found.items() if any(True for _ in slots(module, weights))}
    if isinstance(head, nn.Module):
        places |= {path: module for path, module in model.named_modules() if module is head}
    made = {path: Station(path, module, weights, call) for path, module in places.items()}
    for station in made.values():
        station.module.__dict__["forward"] = station
    within = {id(slot.held): None for station in made.values() for slot in station.slots}
    rest = [slot for slot in slots(model, weights) if id(slot.held) not in within]
    for lazy, tensor in weights.get([slot.lazy for slot in rest]).items():
        for slot in rest:
            if slot.lazy is lazy:
                slot.fill(tensor)
    return list(made.values())
