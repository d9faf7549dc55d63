"""Blocks that are alike are traced twice and then copied: depth costs next to nothing.

A block is copied only if an alike block was called before in the same way (see `keys`) and two true
runs of it were equal, call by call, and left nothing behind: no attribute, no item in a list, no write
into an argument, no output over the memory of another. Everything else is traced. What a block keeps where
nobody looks, such as in a class or a global, isn't seen.
"""

import operator
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode

from graph.nodes import CallNode, Edge, Span
from graph.records import maker_of
from graph.tracing.fakes import empty_fake, tensors_in
from graph.tracing.keys import Keys, Unsayable
from graph.tracing.recorder import Made, Recorder
from graph.tracing.storages import storage_of

_call, _edge, _span = maker_of(CallNode), maker_of(Edge), maker_of(Span)


@dataclass(frozen=True, slots=True)
class _Run:
    """A run of a block, relative: ids from its first call, sources outside as -1 - argument."""

    calls: tuple[CallNode, ...]
    edges: tuple[Edge, ...]
    spans: tuple[Span, ...]
    out: Any


class _Copied:
    """A run by columns, from which its records at another place are made in one go."""

    def __init__(self, run: _Run) -> None:
        self.out, self.count = run.out, len(run.calls)
        self.modules = [call.module for call in run.calls]
        self.reads = [call.reads for call in run.calls]
        self.functions = [call.function for call in run.calls]
        self.given = [call.inputs for call in run.calls]
        self.made = [call.outputs for call in run.calls]
        self.macs = [call.macs for call in run.calls]
        self.fresh = [call.activation_bytes for call in run.calls]
        self.sources = [edge.source for edge in run.edges]
        self.targets = [edge.target for edge in run.edges]
        self.arguments = [edge.argument for edge in run.edges]
        self.tensors = [edge.tensor for edge in run.edges]
        self.outputs = [edge.output for edge in run.edges]
        self.from_outside = [place for place, edge in enumerate(run.edges) if edge.source < 0]
        self.spans = run.spans

    def add_to(self, recorder: Recorder, path: str, start: int, origin: Callable[[int], Made]) -> None:
        """Record it as a run of `path` whose first call is `start`; `origin` says what made an argument."""
        prefix = f"{path}." if path else ""
        modules = [prefix + module if module else path for module in self.modules]
        reads = [tuple([prefix + read for read in each]) if each else () for each in self.reads]
        ids = range(start, start + self.count)
        recorder.calls += map(
            _call, ids, modules, self.functions, self.given, self.made, self.macs, reads, self.fresh
        )
        sources, outputs = [source + start for source in self.sources], self.outputs.copy()
        for place in self.from_outside:
            sources[place], outputs[place] = origin(self.sources[place])
        targets = [target + start for target in self.targets]
        recorder.edges += map(_edge, sources, targets, self.arguments, self.tensors, outputs)
        recorder.spans += [
            _span(prefix + span.module if span.module else path, span.start + start, span.stop + start)
            for span in self.spans
        ]


@dataclass(frozen=True, slots=True)
class Start:
    """Where the recorder stood when a run began: its next call, and how many writes it had seen.

    `given` are the tensors that were among the arguments then.
    """

    call: int
    write: int
    given: tuple[torch.Tensor, ...]


class Memo:
    """Runs by the `keys` of blocks."""

    def __init__(self, keys: Keys, recorder: Recorder, mode: FakeTensorMode) -> None:
        self.keys, self.recorder, self.mode = keys, recorder, mode
        self.runs: dict[Any, _Run] = {}
        self.trusted: dict[Any, bool] = {}
        self.copies: dict[Any, _Copied] = {}

    def learn(self, key: Any, path: str, module: nn.Module, given: Any, start: Start, out: Any) -> None:
        """Take note of a true run of `module` at `path` that began at `start`."""
        if self.trusted.get(key) is False:
            return
        try:
            self.check(key, module, given, start, out)
            run = self.relative(path, given, start.call, out)
        except Unsayable:
            self.trusted[key] = False
            return
        if key in self.runs:
            self.trusted[key] = self.runs[key] == run
        self.runs[key] = run
        self.copies.pop(key, None)

    def check(self, key: Any, module: nn.Module, given: Any, start: Start, out: Any) -> None:
        """Raise Unsayable if the run did more than return: a copy does nothing else."""
        if not self.keys.is_as_at_first(module) or self.keys.arguments(given) != key[-1]:
            raise Unsayable
        arguments = tensors_in(given)
        if len(arguments) != len(start.given) or not all(map(operator.is_, arguments, start.given)):
            raise Unsayable  # it put another one into a list that it was given
        theirs = {storage_of(tensor) for tensor in arguments}
        if not theirs.isdisjoint(self.recorder.written[start.write :]):
            raise Unsayable
        for tensor in {id(tensor): tensor for tensor in tensors_in(out)}.values():
            if not any(tensor is argument for argument in arguments):
                if storage_of(tensor) in theirs:
                    raise Unsayable
                theirs.add(storage_of(tensor))

    def relative(self, path: str, given: Any, start: int, out: Any) -> _Run:
        recorder = self.recorder
        origins: dict[Made | None, int] = {}
        for tensor in tensors_in(given):
            origins.setdefault(recorder.source(tensor), len(origins))

        def local(place: str) -> str:
            if path and place != path and not place.startswith(path + "."):
                raise Unsayable
            return place[len(path) :].removeprefix(".")

        def source(edge: Edge) -> tuple[int, int]:
            if edge.source >= start:
                return edge.source - start, edge.output
            if (edge.source, edge.output) not in origins:
                raise Unsayable  # a tensor that came in by another way than the arguments
            return -1 - origins[edge.source, edge.output], 0

        calls = tuple(
            _moved(call, call.id - start, local(call.module), tuple(map(local, call.reads)))
            for call in recorder.calls[start:]
        )
        edges = []
        for edge in _since(recorder.edges, start):
            index, output = source(edge)
            edges.append(Edge(index, edge.target - start, edge.argument, edge.tensor, output))
        spans = tuple(
            Span(local(span.module), span.start - start, span.stop - start)
            for span in recorder.spans
            if span.start >= start and span.module != path
        )
        return _Run(calls, tuple(edges), spans, self.template(out, given, start))

    def template(self, out: Any, given: Any, start: int) -> Any:
        """The output with each tensor as the argument it is or as (call, shape, strides, dtype)."""
        if isinstance(out, torch.Tensor):
            for place, tensor in enumerate(tensors_in(given)):
                if tensor is out:
                    return "argument", place
            index, output = self.recorder.producer.get(id(out), (-1, 0))
            if index < start:
                raise Unsayable
            return "made", index - start, output, tuple(out.shape), out.stride(), out.dtype
        if out is None:
            return ("none",)
        if type(out) in (list, tuple):
            return type(out), [self.template(item, given, start) for item in out]
        raise Unsayable

    def copy(self, key: Any, path: str, given: Any) -> tuple[Any] | None:
        """Record a known run as one of `path` and return its output in a tuple; None if unknown."""
        if not self.trusted.get(key):
            return None
        recorder, run = self.recorder, self.copies.get(key)
        if run is None:
            run = self.copies[key] = _Copied(self.runs[key])
        start, arguments = len(recorder.calls), tensors_in(given)
        with torch._C.DisableTorchFunction(), torch._C._DisableTorchDispatch():
            origins = list(dict.fromkeys(map(recorder.source, arguments)))

            def origin(index: int) -> Made:
                found = origins[-1 - index]
                assert found is not None, "an edge never comes from a tensor without a producer"
                return found

            run.add_to(recorder, path, start, origin)
            return (self.made(run.out, arguments, start),)

    def made(self, template: Any, arguments: list[torch.Tensor], start: int) -> Any:
        kind = template[0]
        if kind == "none":
            return None
        if kind == "argument":
            return arguments[template[1]]
        if kind == "made":
            _, call, output, shape, strides, dtype = template
            tensor = empty_fake(shape, strides, dtype, self.mode)
            self.recorder.produced(tensor, start + call, output)
            return tensor
        build: Callable[[list[Any]], Any] = kind
        return build([self.made(item, arguments, start) for item in template[1]])


def _moved(call: CallNode, index: int, module: str, reads: tuple[str, ...]) -> CallNode:
    """`call` at another place; `dataclasses.replace` takes ten times as long."""
    return _call(
        index, module, call.function, call.inputs, call.outputs, call.macs, reads, call.activation_bytes
    )


def _since(edges: list[Edge], start: int) -> list[Edge]:
    """The edges into calls from `start` on, which are the last of the list."""
    first = len(edges)
    while first and edges[first - 1].target >= start:
        first -= 1
    return edges[first:]
