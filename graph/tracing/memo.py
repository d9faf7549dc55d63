"""Blocks that are alike are traced twice and then copied: depth costs next to nothing.

A block is copied only if an alike block (same structural hash, same objects such as its config)
was called before with arguments of the same shapes and the same origins among each other, and two
true runs of it were equal, call by call. What can't be said in those terms is traced.
"""

from collections import Counter
from collections.abc import Callable, Container, Iterator
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import _disable_current_modes

from graph.nodes import CallNode, Edge, Span
from graph.repeats import structure
from graph.tracing.fakes import empty_fake, tensors_in
from graph.tracing.recorder import Recorder
from graph.tree import bottom_up, children, join

_PLAIN = (bool, int, float, complex, str, bytes, type(None), torch.dtype, torch.device)


Made = tuple[int, int]  # the call that made a tensor, and which of its outputs that is


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
    """Runs by key, of the modules of `model`; `paths` are all paths of each by id.

    Blocks with a module in them that is in `unwatched`, by id, are not copied.
    """

    def __init__(
        self,
        model: nn.Module,
        recorder: Recorder,
        paths: dict[int, list[str]],
        unwatched: Container[int],
        mode: FakeTensorMode,
    ) -> None:
        self.recorder, self.paths, self.unwatched, self.mode = recorder, paths, unwatched, mode
        self.runs: dict[Any, _Run] = {}
        self.trusted: dict[Any, bool] = {}
        self.structures: dict[nn.Module, str] = {}
        structure(model, self.structures)
        self.alike = Counter(self.structures.values())
        self.foreign: dict[nn.Module, int | None] = {}
        self.numbers: dict[Any, int] = {}

    def key(self, module: nn.Module, given: Any) -> Any:
        """What the run of `module` on `given` can depend on; None if that can't be said."""
        made_like = self.structures[module]
        if self.alike[made_like] < 2:
            return None
        try:
            return made_like, self.objects(module), tuple(self.said(given, {}, {}))
        except Unsayable:
            return None

    def objects(self, module: nn.Module) -> int:
        """A number for what the tree of `module` holds besides modules, tensors and scalars.

        Such as a config: two blocks have the same number if they hold the very same objects.
        """
        for below in bottom_up(module, self.foreign):
            try:
                held = tuple(self.held(below)), tuple(self.objects_below(below))
                self.foreign[below] = self.numbers.setdefault(held, len(self.numbers))
            except Unsayable:
                self.foreign[below] = None
        number = self.foreign[module]
        if number is None:
            raise Unsayable
        return number

    def objects_below(self, module: nn.Module) -> Iterator[int]:
        for _, child in children(module):
            number = self.foreign.get(child)
            if number is None:
                raise Unsayable
            yield number

    def held(self, module: nn.Module) -> Iterator[Any]:
        if len(self.paths.get(id(module), ())) != 1 or module._forward_hooks or module._forward_pre_hooks:
            raise Unsayable
        if id(module) in self.unwatched:
            raise Unsayable
        for name, value in module.__dict__.items():
            if name.startswith("_") or name == "forward" or isinstance(value, _PLAIN):
                continue
            if tensors_in(value) or isinstance(value, nn.Module):
                raise Unsayable
            if isinstance(value, list | tuple) and all(isinstance(item, _PLAIN) for item in value):
                yield name, tuple(value)
            else:
                yield name, id(value)

    def said(self, value: Any, tensors: dict[int, int], origins: dict[Made | None, int]) -> Iterator[Any]:
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
        origins: dict[Made | None, int] = {}
        for tensor in tensors_in(given):
            origins.setdefault(recorder.producer.get(id(tensor)), len(origins))

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
            replace(
                call,
                id=call.id - start,
                module=local(call.module),
                reads=tuple(map(local, call.reads)),
            )
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
        recorder, run = self.recorder, self.runs[key]
        start = len(recorder.calls)
        arguments = tensors_in(given)
        origins = list(dict.fromkeys(recorder.producer.get(id(tensor)) for tensor in arguments))

        def source(edge: Edge) -> Made:
            if edge.source >= 0:
                return edge.source + start, edge.output
            origin = origins[-1 - edge.source]
            assert origin is not None, "an edge never comes from a tensor without a producer"
            return origin

        for call in run.calls:
            place, reads = _under(path, call.module), tuple(_under(path, read) for read in call.reads)
            recorder.calls.append(replace(call, id=call.id + start, module=place, reads=reads))
        for edge in run.edges:
            index, output = source(edge)
            recorder.edges.append(Edge(index, edge.target + start, edge.argument, edge.tensor, output))
        for span in run.spans:
            recorder.spans.append(Span(_under(path, span.module), span.start + start, span.stop + start))
        with recorder.watching(), _disable_current_modes():
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


def _under(path: str, place: str) -> str:
    return join(path, place) if place else path


def _since(edges: list[Edge], start: int) -> list[Edge]:
    """The edges into calls from `start` on, which are the last of the list."""
    first = len(edges)
    while first and edges[first - 1].target >= start:
        first -= 1
    return edges[first:]
