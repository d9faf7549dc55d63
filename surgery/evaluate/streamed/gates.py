"""Where a forward waits for weights: at the modules that are taped, and at the head."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, cast

from torch import Tensor, nn

from graph.nodes import ModuleGraph
from graph.paths import is_among, is_below
from graph.tree import children, join
from surgery.evaluate.streamed.weights import Weights
from surgery.evaluate.tape.boundaries import boundaries
from surgery.lazy import Lazy

_Tensors = dict[str, Tensor | None]


@dataclass(frozen=True)
class Slot:
    """A place for a tensor: `held` are the parameters or the buffers of a module."""

    held: _Tensors
    name: str
    lazy: Lazy

    def fill(self, tensor: Tensor) -> Tensor | None:
        """Puts a tensor there; gives what was there."""
        before = self.held[self.name]
        parameter = isinstance(before, nn.Parameter)
        self.held[self.name] = nn.Parameter(tensor, requires_grad=False) if parameter else tensor
        return before


Call = Callable[["Gate", Callable[..., Any], tuple[Any, ...], dict[str, Any]], Any]
"""What runs a gate: the gate, the module's forward, and its arguments."""


class Gate:
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


def places(model: nn.Module, graph: ModuleGraph | None) -> dict[str, nn.Module]:
    """The modules to wait at, by path: those that are taped, and the head.

    One that the graph has no call of, such as a sequence whose items a loop calls, gives way to its children.
    """
    found = boundaries(model)
    asked: Any = getattr(model, "get_output_embeddings", None)
    head = asked() if callable(asked) else None
    if isinstance(head, nn.Module):
        found |= {path: module for path, module in model.named_modules() if module is head}
    if graph is None or not graph.calls:
        return found
    called = {call.module for call in graph.calls if call.function is None}
    called |= {span.module for span in graph.spans}
    hidden = [node.path for node in graph.modules if node.opaque]
    made: dict[str, nn.Module] = {}
    waiting = list(found.items())
    for path, module in waiting:  # grows while it is read
        if path in called or is_among(path, hidden):
            made[path] = module
        else:
            waiting += ((join(path, name), child) for name, child in children(module))
    return made


def slots(module: nn.Module, weights: Weights) -> Iterator[Slot]:
    """The places at and below a module whose tensors are not there."""
    for below in module.modules():
        for held in (cast(_Tensors, below._parameters), below._buffers):
            for name, tensor in held.items():
                lazy = None if tensor is None else weights.lazy(tensor)
                if lazy is not None:
                    yield Slot(held, name, lazy)


def read_elsewhere(model: nn.Module, graph: ModuleGraph | None, gates: Iterable[str]) -> list[Tensor]:
    """The tensors that some call reads outside the gate that holds them, or that none holds."""
    known: dict[str, Tensor] = {
        **dict(model.named_parameters(remove_duplicate=False)),
        **dict(model.named_buffers(remove_duplicate=False)),
    }
    held = {name: place for name in known for place in gates if is_below(name, place)}
    found = {name: tensor for name, tensor in known.items() if name not in held}
    for call in () if graph is None else graph.calls:
        for name in call.reads:
            if name in held and not is_below(call.module, held[name]):
                found[name] = known[name]
    return list(found.values())
