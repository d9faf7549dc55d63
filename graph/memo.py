"""Blocks that are alike are traced twice and then copied: depth costs next to nothing.

A block is copied only if an alike block (same structural hash, same objects such as its config)
was called before with arguments of the same shapes and the same origins among each other, and two
true runs of it were equal, call by call. What can't be said in those terms is traced.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import nn

from graph.fakes import tensors_in
from graph.nodes import CallNode, Edge, Span
from graph.recorder import Recorder
from graph.repeats import structure
from graph.tree import join

_PLAIN = (bool, int, float, complex, str, bytes, type(None), torch.dtype, torch.device)


class Unsayable(Exception):
    """An argument, attribute or output that a copy couldn't answer for."""


@dataclass(frozen=True, slots=True)
class _Run:
    """A run of a block, relative: ids from its first call, sources outside as -1 - argument."""

    calls: tuple[CallNode, ...]
    edges: tuple[Edge, ...]
    spans: tuple[Span, ...]
    out: Any


class Memo:
    """Runs by key. `paths` are all paths of each module by id; `state` as in the recorder."""

    def __init__(self, recorder: Recorder, paths: dict[int, list[str]]) -> None:
        self.recorder, self.paths = recorder, paths
        self.runs: dict[Any, _Run] = {}
        self.trusted: dict[Any, bool] = {}
        self.structures: dict[nn.Module, str] = {}
        self.foreign: dict[nn.Module, tuple[Any, ...]] = {}

    def key(self, module: nn.Module, given: Any) -> Any:
        """What the run of `module` on `given` can depend on; None if that can't be said."""
        try:
            return structure(module, self.structures), self.objects(module), tuple(self.said(given, {}, {}))
        except Unsayable:
            return None

    def objects(self, module: nn.Module) -> tuple[Any, ...]:
        """Identities of what modules hold besides modules, tensors and scalars, such as a config."""
        if module not in self.foreign:
            self.foreign[module] = tuple(self.held(module))
        return self.foreign[module]

    def held(self, module: nn.Module) -> Iterator[Any]:
        for child in module.modules():
            if len(self.paths.get(id(child), ())) != 1 or child._forward_hooks or child._forward_pre_hooks:
                raise Unsayable
            for name, value in child.__dict__.items():
                if name.startswith("_") or name == "forward" or isinstance(value, _PLAIN):
                    continue
                if any(True for _ in tensors_in(value)) or isinstance(value, nn.Module):
                    raise Unsayable
                if isinstance(value, list | tuple) and all(isinstance(item, _PLAIN) for item in value):
                    yield name, tuple(value)
                else:
                    yield name, id(value)

    def said(self, value: Any, tensors: dict[int, int], origins: dict[int | None, int]) -> Iterator[Any]:
        """Arguments as comparable values; tensors by shape, by which are the same, by producer."""
        if isinstance(value, torch.Tensor):
            if id(value) in self.recorder.state:
                raise Unsayable
            same = tensors.setdefault(id(value), len(tensors))
            producer = self.recorder.producer.get(id(value))
            origin = origins.setdefault(producer, len(origins))
            layout = tuple(value.shape), value.stride(), value.dtype
            yield "tensor", same, origin, producer is None, layout
        elif isinstance(value, _PLAIN):
            yield type(value), value
        elif type(value) in (list, tuple):
            yield type(value), len(value)
            for item in value:
                yield from self.said(item, tensors, origins)
        elif type(value) is dict:
            yield dict, tuple(value)
            for item in value.values():
                yield from self.said(item, tensors, origins)
        else:
            raise Unsayable

    def learn(self, key: Any, path: str, given: Any, versions: list[int], start: int, out: Any) -> None:
        """Take note of a true run of the block at `path` whose calls begin at `start`."""
        if self.trusted.get(key) is False:
            return
        try:
            if versions != [tensor._version for tensor in tensors_in(given)]:
                raise Unsayable  # it wrote into its arguments
            run = self.relative(path, given, start, out)
        except Unsayable:
            self.trusted[key] = False
            return
        if key in self.runs:
            self.trusted[key] = self.runs[key] == run
        self.runs[key] = run

    def relative(self, path: str, given: Any, start: int, out: Any) -> _Run:
        recorder = self.recorder
        origins: dict[int | None, int] = {}
        for tensor in tensors_in(given):
            origins.setdefault(recorder.producer.get(id(tensor)), len(origins))

        def local(place: str) -> str:
            if path and place != path and not place.startswith(path + "."):
                raise Unsayable
            return place[len(path) :].removeprefix(".")

        def source(index: int) -> int:
            if index >= start:
                return index - start
            if index not in origins:
                raise Unsayable  # a tensor that came in by another way than the arguments
            return -1 - origins[index]

        calls = tuple(
            replace(
                call,
                id=call.id - start,
                module=local(call.module),
                reads=tuple(map(local, call.reads)),
            )
            for call in recorder.calls[start:]
        )
        edges = tuple(
            replace(edge, source=source(edge.source), target=edge.target - start)
            for edge in _since(recorder.edges, start)
        )
        spans = tuple(
            Span(local(span.module), span.start - start, span.stop - start)
            for span in recorder.spans
            if span.start >= start and span.module != path
        )
        return _Run(calls, edges, spans, self.template(out, given, start))

    def template(self, out: Any, given: Any, start: int) -> Any:
        """The output with each tensor as the argument it is or as (call, shape, strides, dtype)."""
        if isinstance(out, torch.Tensor):
            for place, tensor in enumerate(tensors_in(given)):
                if tensor is out:
                    return "argument", place
            producer = self.recorder.producer.get(id(out), -1)
            if producer < start:
                raise Unsayable
            return "made", producer - start, tuple(out.shape), out.stride(), out.dtype
        if out is None:
            return ("none",)
        if type(out) in (list, tuple):
            return type(out), [self.template(item, given, start) for item in out]
        raise Unsayable

    def copy(self, key: Any, path: str, given: Any) -> tuple[Any] | None:
        """Record a known run as one of `path` and return its output in a tuple; None if unknown."""
        if not self.trusted.get(key):
            return None
        recorder, run = self.recorder, self.runs[key]
        start = len(recorder.calls)
        arguments = list(tensors_in(given))
        origins = list(dict.fromkeys(recorder.producer.get(id(tensor)) for tensor in arguments))

        def source(index: int) -> int:
            origin = index + start if index >= 0 else origins[-1 - index]
            assert origin is not None, "an edge never comes from a tensor without a producer"
            return origin

        for call in run.calls:
            place, reads = _under(path, call.module), tuple(_under(path, read) for read in call.reads)
            recorder.calls.append(
                CallNode(call.id + start, place, call.function, call.inputs, call.outputs, call.macs, reads)
            )
        for edge in run.edges:
            recorder.edges.append(Edge(source(edge.source), edge.target + start, edge.argument, edge.tensor))
        for span in run.spans:
            recorder.spans.append(Span(_under(path, span.module), span.start + start, span.stop + start))
        with recorder.watching():
            return (self.made(run.out, arguments, start),)

    def made(self, template: Any, arguments: list[torch.Tensor], start: int) -> Any:
        kind = template[0]
        if kind == "none":
            return None
        if kind == "argument":
            return arguments[template[1]]
        if kind == "made":
            _, call, shape, strides, dtype = template
            tensor = torch.empty_strided(shape, strides, dtype=dtype, device="cpu")
            self.recorder.produced(tensor, start + call)
            return tensor
        build: Callable[[list[Any]], Any] = kind
        return build([self.made(item, arguments, start) for item in template[1]])


def _under(path: str, place: str) -> str:
    return join(path, place) if place else path


def _since(edges: list[Edge], start: int) -> list[Edge]:
    """The edges into calls from `start` on, which are the last of the list."""
    first = len(edges)
    while first and edges[first - 1].target >= start:
        first -= 1
    return edges[first:]
