"""The notebook of a trace: calls in order, and the producer of every tensor that is alive."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Self

import torch

from graph.holders import map_tensors
from graph.nodes import INPUT, OUTPUT, CallNode, Edge, Span, TensorSpec
from graph.tracing.fakes import tensors_in
from graph.tracing.storages import overlap, storage_of

Made = tuple[int, int]
"""The call that made a tensor, and which of its outputs that is."""


MOST = 10_000
"""So many specs are kept to be used again; then all are forgotten."""

_specs: dict[tuple[torch.Size, torch.dtype], TensorSpec] = {}


class Watched:
    """What the operators of one call do: MACs, tensors they touch and write, parameters they read.

    `given` are the tensors it was called with. Between entering and leaving, the recorder counts what
    runs to this call, and functions inside are no calls of their own.
    """

    __slots__ = ("before", "given", "macs", "recorder", "state", "touched", "wrote")

    def __init__(self, recorder: "Recorder", args: object) -> None:
        self.recorder, self.before = recorder, recorder.current
        self.macs = 0
        self.touched: dict[int, None] = {}
        self.state: dict[int, None] = {}
        self.wrote: list[torch.Tensor] = []
        self.given = tensors_in(args)

    def __enter__(self) -> Self:
        self.before, self.recorder.current = self.recorder.current, self
        return self

    def __exit__(self, *_: object) -> None:
        self.recorder.current = self.before

    def touch_all(self) -> None:
        """Count every tensor the call was given as used."""
        self.touched.update((id(tensor), None) for tensor in self.given)

    def written(self) -> list[torch.Tensor]:
        """Tensors the call was given and wrote into, or into a view of them."""
        return [tensor for tensor in self.given if self.has_written(tensor)] if self.wrote else []

    def has_written(self, tensor: torch.Tensor) -> bool:
        """Whether the call wrote into memory of `tensor`."""
        with torch._C.DisableTorchFunction():
            storage = storage_of(tensor)
            return any(storage_of(other) == storage and overlap(other, tensor) for other in self.wrote)


class Recorder:
    """Collects calls, edges and spans; `module` is the path whose forward is running.

    `state` maps the id of a parameter or buffer to itself and its paths; `ranks` gives its place among all
    where they did not come in the order of the model. `written` are the storages that calls wrote into, in
    order.
    """

    def __init__(
        self,
        state: dict[int, tuple[torch.Tensor, list[str]]],
        inputs: object,
        ranks: Mapping[int, int] = MappingProxyType({}),
    ) -> None:
        self.state, self.ranks = state, ranks
        self.calls: list[CallNode] = []
        self.edges: list[Edge] = []
        self.spans: list[Span] = []
        self.module = ""
        self.current: Watched | None = None
        self.producer: dict[int, Made] = {}
        self.alive: dict[int, torch.Tensor] = {}
        self.over: dict[int, dict[int, None]] = {}
        self.written: list[int] = []
        for output, tensor in enumerate(tensors_in(inputs)):
            self.produced(tensor, INPUT, output)

    def watching(self, args: object = ()) -> Watched:
        """A call with these arguments, to be entered while it runs."""
        return Watched(self, args)

    def module_call(self, path: str, out: Any, watched: Watched) -> Any:
        """Record the call of a leaf; returns `out` with arguments handed on replaced by aliases.

        Identity, or Dropout at rest, returns its argument: later uses of the argument would seem
        to come from here. What was written in place is the leaf's own and stays as it is.
        """
        given = {id(tensor) for tensor in watched.given}
        written = {id(tensor) for tensor in watched.written()}
        handed_on = {key for key in given - written if key not in self.state}

        def own(tensor: torch.Tensor) -> torch.Tensor:
            if id(tensor) not in handed_on:
                return tensor
            watched.touched[id(tensor)] = None
            plain = tensor.layout == torch.strided and not tensor.is_nested
            return tensor.view_as(tensor) if plain else tensor.detach()

        if isinstance(out, torch.Tensor):
            out = own(out)
        elif type(out) in (list, tuple) and any(id(tensor) in handed_on for tensor in tensors_in(out)):
            out = map_tensors(out, own)
        self.call(path, None, out, watched)
        return out

    def opaque_call(self, path: str, out: Any, watched: Watched) -> None:
        """Record a module that couldn't be looked into: it may use all it was given and holds."""
        watched.touch_all()
        below = path + "."
        held = [key for key, (_, paths) in self.state.items() if _any_below(paths, below)]
        last = len(self.state)  # what was told later stays behind
        watched.state = dict.fromkeys(sorted(held, key=lambda key: self.ranks.get(key, last)))
        watched.macs = 0
        self.call(path, None, out, watched)

    def function_call(self, name: str, out: Any, watched: Watched) -> None:
        """Record a function outside leaves, unless it makes and writes no tensor."""
        given = {id(tensor) for tensor in watched.given}
        made = [tensor for tensor in tensors_in(out) if id(tensor) not in given]
        written = watched.written()
        if not made and not written:  # a getter of a shape, or a `contiguous` with nothing to do
            return
        watched.touch_all()
        self.call(self.module, name, out if made else written[0], watched)

    def call(self, module: str, name: str | None, out: Any, watched: Watched) -> None:
        """Add a CallNode with its edges, and make it the producer of what it returns and writes."""
        with torch._C.DisableTorchFunction():  # looking at tensors is nothing that the model does
            self._call(module, name, out, watched)

    def _call(self, module: str, name: str | None, out: Any, watched: Watched) -> None:
        index = len(self.calls)
        data, storages, touched = [], set(), watched.touched
        for tensor in watched.given:
            storages.add(storage_of(tensor))
            if id(tensor) not in self.state:
                data.append(tensor)
            elif id(tensor) in touched:
                watched.state[id(tensor)] = None
        data += self.unasked(watched)
        for argument, tensor in enumerate(data):
            source = self.source(tensor) if id(tensor) in touched else None
            if source is not None:
                self.edges.append(Edge(source[0], index, argument, spec(tensor), source[1]))
        results, fresh = tensors_in(out), 0
        for tensor in results:
            if (storage := storage_of(tensor)) not in storages:
                storages.add(storage)
                fresh += tensor.numel() * tensor.element_size()
        reads = tuple(self.nearest_path(key, module) for key in watched.state)
        inputs, outputs = tuple(map(spec, data)), tuple(map(spec, results))
        self.calls.append(CallNode(index, module, name, inputs, outputs, watched.macs, reads, fresh))
        for tensor in watched.wrote:
            self.overwritten(tensor, index)
        for tensor in watched.written():
            self.produced(tensor, index)
        for output, tensor in enumerate(results):
            self.produced(tensor, index, output)

    def unasked(self, watched: Watched) -> list[torch.Tensor]:
        """What a call used without being given it: an attribute that a hook or another call has made."""
        given = {id(tensor) for tensor in watched.given}
        return [self.alive[key] for key in watched.touched if key in self.producer and key not in given]

    def source(self, tensor: torch.Tensor) -> Made | None:
        """What made `tensor`; where nobody was seen making it, what made the tensor it is a view of."""
        found = self.producer.get(id(tensor))
        if found is not None or id(tensor) in self.state:
            return found
        while torch._C._functorch.is_functorch_wrapped_tensor(tensor):  # inside `vmap` and `grad`
            tensor = torch._C._functorch.get_unwrapped(tensor)
            if id(tensor) in self.producer:
                return self.producer[id(tensor)]
        over = self.over.get(storage_of(tensor))
        return self.producer.get(next(reversed(over))) if over else None

    def produced(self, tensor: torch.Tensor, index: int, output: int = 0) -> None:
        """Make call `index` the producer of `tensor`; parameters and buffers have none."""
        key = id(tensor)
        if key not in self.state:
            self.producer[key] = index, output
            self.alive[key] = tensor
            self.over.setdefault(storage_of(tensor), {})[key] = None
            if torch._C._functorch.is_functorch_wrapped_tensor(tensor):
                self.produced(torch._C._functorch.get_unwrapped(tensor), index, output)

    def overwritten(self, tensor: torch.Tensor, index: int) -> None:
        """Make call `index` the producer of all that lies where it wrote, such as views of it."""
        storage = storage_of(tensor)
        self.written.append(storage)
        for key in self.over.get(storage, ()):
            if key not in self.producer or storage_of(self.alive[key]) != storage:  # it lies elsewhere by now
                continue
            if overlap(tensor, self.alive[key]):
                self.producer[key] = index, 0

    def finish(self, out: object) -> None:
        """Record the edges to the model's output."""
        with self.watching():
            for argument, tensor in enumerate(tensors_in(out)):
                source = self.source(tensor)
                if source is not None:
                    self.edges.append(Edge(source[0], OUTPUT, argument, spec(tensor), source[1]))

    def forget(self, start: int) -> None:
        """Drop the calls from `start` on: their module turned out to be opaque."""
        del self.calls[start:]
        self.edges = [edge for edge in self.edges if edge.target < start]
        self.spans = [span for span in self.spans if span.stop <= start]
        self.producer = {key: made for key, made in self.producer.items() if made[0] < start}

    def nearest_path(self, key: int, module: str) -> str:
        """The path of a parameter as seen from `module`: of several, the one that lies nearest."""
        paths = self.state[key][1]
        return max(paths, key=lambda path: _shared_segments(path, module)) if len(paths) > 1 else paths[0]


def spec(tensor: torch.Tensor) -> TensorSpec:
    """Shape and dtype of `tensor`; of a nested one how many tensors it nests, for its own may differ."""
    key = torch.Size([tensor.size(0)]) if tensor.is_nested else tensor.shape, tensor.dtype
    found = _specs.get(key)
    if found is None:
        if len(_specs) >= MOST:
            _specs.clear()
        found = _specs[key] = TensorSpec(tuple(key[0]), str(tensor.dtype).removeprefix("torch."))
    return found


def _any_below(paths: list[str], prefix: str) -> bool:
    return any(path.startswith(prefix) for path in paths)


def _shared_segments(path: str, other: str) -> int:
    count = 0
    for one, two in zip(path.split("."), other.split("."), strict=False):
        if one != two:
            break
        count += 1
    return count
