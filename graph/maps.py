"""Where the channels of a map lie, before its sides or behind them, as the layers around it tell."""

from __future__ import annotations

from collections import defaultdict
from typing import Literal

from graph.nodes import CallNode, Edge, ModuleGraph, ModuleNode
from graph.remembered import once_per_graph

Channels = Literal["first", "last"]
_Known = Channels | Literal["turned"] | None
"""`turned`: a map whose sides were put in another order, it is not yet known which."""

_LEAST = 3
"""Dimensions of a batch of maps: channels and at least one side, such as that of a sound."""
_FIRST_FUNCTIONS = ("conv1d", "conv2d", "conv3d", "conv_transpose1d", "conv_transpose2d", "conv_transpose3d",
                    "max_pool1d", "max_pool2d", "avg_pool1d", "avg_pool2d", "adaptive_avg_pool1d",
                    "adaptive_avg_pool2d", "adaptive_max_pool1d", "adaptive_max_pool2d", "interpolate",
                    "pixel_shuffle", "pixel_unshuffle", "batch_norm", "group_norm",
                    "instance_norm")  # fmt: skip
_FIRST_CLASSES = ("MaxPool", "AvgPool", "AdaptiveAvgPool", "AdaptiveMaxPool", "LPPool", "Upsample",
                  "Upsampling", "PixelShuffle", "PixelUnshuffle", "ZeroPad", "ReflectionPad",
                  "ReplicationPad")  # fmt: skip
_FIRST_ATTRIBUTES = frozenset({"num_features", "num_channels"})  # of norms over channels
_KEEPING = frozenset({"add", "sub", "mul", "div", "truediv", "relu", "relu6", "gelu", "silu", "mish",
                      "sigmoid", "tanh", "hardtanh", "hardswish", "hardsigmoid", "leaky_relu", "elu",
                      "softplus", "clamp", "dropout", "dropout2d", "layer_norm", "rms_norm", "contiguous",
                      "clone", "float", "to", "type_as"})  # fmt: skip
_TURNING = frozenset({"permute", "transpose", "movedim", "moveaxis", "swapaxes"})


@once_per_graph
def channels(graph: ModuleGraph) -> dict[int, Channels]:
    """By call, where the channels of what it returns first lie; only where a layer says so."""
    return _Reader(graph).read()


class _Reader:
    """Knowledge begins at convolutions and their like, and goes along what leaves sides in their order."""

    def __init__(self, graph: ModuleGraph) -> None:
        self.graph = graph
        self.known: dict[int, _Known] = {}
        self.into: dict[int, list[Edge]] = defaultdict(list)
        self.out: dict[int, list[Edge]] = defaultdict(list)
        for edge in graph.edges:
            if len(edge.tensor.shape) >= _LEAST and edge.output == 0:
                self.into[edge.target].append(edge)
                self.out[edge.source].append(edge)
        self.maps = [call for call in graph.calls if call.outputs and len(call.outputs[0].shape) >= _LEAST]
        self.first = {call.id for call in self.maps if self.is_first(call)}

    def read(self) -> dict[int, Channels]:
        """Forwards and backwards until nothing more is learned."""
        if not self.first:
            return {}  # heads of attention are no maps
        before: dict[int, _Known] = {-1: None}
        while before != self.known:
            before = dict(self.known)
            for call in self.maps:
                self.learn(call, self.made(call))
            for call in reversed(self.maps):
                self.learn(call, self.taken(call))
        return {call: where for call, where in self.known.items() if where in ("first", "last")}

    def learn(self, call: CallNode, where: _Known) -> None:
        """What is known stays; that it was turned is only a hint."""
        if where is not None and self.known.get(call.id) in (None, "turned"):
            self.known[call.id] = where

    def made(self, call: CallNode) -> _Known:
        """What the call says of its output, or keeps of its inputs."""
        if call.id in self.first:
            return "first"
        shape = call.outputs[0].shape
        found: _Known = None
        for edge in self.into[call.id]:
            where = self.known.get(edge.source)
            if where is None:
                continue
            if self.turns(call):
                return _turned(edge.tensor.shape, shape, where)
            if self.is_linear(call):
                return None if where == "first" else "last"
            if self.keeps(call) and edge.tensor.shape == shape:
                found = where if found in (None, "turned") else found
        return found

    def taken(self, call: CallNode) -> _Known:
        """What those say who take the output."""
        mine = self.known.get(call.id)
        found: _Known = None
        for edge in self.out[call.id]:
            if edge.target < 0:
                continue
            taker = self.graph.calls[edge.target]
            where = self.known.get(taker.id)
            said: _Known = None
            if edge.argument == 0 and taker.id in self.first:
                said = "first"
            elif self.is_linear(taker) and (mine == "turned" or where == "last"):
                said = "last"
            elif self.turns(taker) and where in ("first", "last"):
                said = _turned(taker.outputs[0].shape, edge.tensor.shape, where)
                said = None if said == "turned" and mine is None else said  # a hint needs a map
            elif self.keeps(taker) and taker.outputs and taker.outputs[0].shape == edge.tensor.shape:
                said = where
            found = said if found in (None, "turned") and said is not None else found
        return found

    def is_first(self, call: CallNode) -> bool:
        """Whether the call takes and returns channels before sides."""
        if call.function is not None:
            return call.function.rstrip("_") in _FIRST_FUNCTIONS
        node = self.graph[call.module]
        named = node.class_name.startswith(_FIRST_CLASSES) or _normalises(node)
        rank = len(call.outputs[0].shape)
        kernel = any(tensor.kind == "parameter" and len(tensor.shape) == rank for tensor in node.tensors)
        return named or (kernel and "out_channels" in dict(node.attributes))

    def is_linear(self, call: CallNode) -> bool:
        """Whether the call works on the last side alone and may change its size."""
        if call.function is not None:
            return call.function == "linear"
        return "out_features" in dict(self.graph[call.module].attributes)

    def turns(self, call: CallNode) -> bool:
        """Whether the call puts sides in another order."""
        if call.function is not None:
            return call.function.rstrip("_") in _TURNING
        return "Permute" in self.graph[call.module].class_name

    def keeps(self, call: CallNode) -> bool:
        """Whether sides of an output that is as large as an input lie as in that input."""
        if call.function is not None:
            name = call.function.rstrip("_")
            return name in _KEEPING or name.removeprefix("i") in _KEEPING
        return not self.turns(call) and self.graph[call.module].opaque is None


def _normalises(node: ModuleNode) -> bool:
    return "Norm" in node.class_name and not _FIRST_ATTRIBUTES.isdisjoint(dict(node.attributes))


def _turned(before: tuple[int, ...], after: tuple[int, ...], where: _Known) -> _Known:
    """Where the channels lie after the sides were put in another order, if their number tells it."""
    if where not in ("first", "last") or len(before) != len(after) or sorted(before) != sorted(after):
        return "turned" if where == "turned" else None
    count = before[1] if where == "first" else before[-1]
    first, last = after[1] == count, after[-1] == count
    if first != last and before.count(count) == 1:
        return "first" if first else "last"
    return "turned"
