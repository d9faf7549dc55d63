"""Residual streams: what is added up between norms, who writes it and who reads it."""

from __future__ import annotations

from dataclasses import dataclass, field

from torch import nn
from torch.nn.modules.conv import _ConvNd, _ConvTransposeNd

from graph.nodes import INPUT, CallNode
from surgery.adapters.lora import is_linear, is_transposed
from surgery.errors import SurgeryError
from surgery.model import Patient
from surgery.rewriting.absorbing import passes
from surgery.rewriting.folding import refuse_twice
from surgery.rewriting.reading import Reading, said

_SUMS = frozenset({"add", "add_", "iadd", "radd", "sub", "sub_", "isub", "cat", "concat", "stack"})
_SCALED = frozenset({"mul", "mul_", "imul", "rmul", "div", "div_", "truediv", "idiv", "neg"})
_MOVED = frozenset(
    {"flatten", "transpose", "permute", "view", "reshape", "contiguous", "swapaxes", "movedim"}
)
_SHAPES = frozenset(
    {"zeros_like", "ones_like", "empty_like", "new_zeros", "new_ones", "new_full", "new_empty"}
)


@dataclass
class Stream:
    """A residual stream: paths of the LayerNorms that read it, and of the parameters that write it.

    `writers` says of each parameter along which dimension its vectors lie: −1 the last, 0 the first.
    """

    width: int
    norms: dict[str, None] = field(default_factory=dict)
    writers: dict[str, int] = field(default_factory=dict)


def is_layer_norm(module: nn.Module) -> bool:
    """Whether it is torch's LayerNorm over the last dimension alone."""
    return type(module) is nn.LayerNorm and len(module.normalized_shape) == 1


def stream_of(patient: Patient, path: str, verb: str) -> Stream:
    """The stream that the LayerNorm at `path` reads; SurgeryError where something in it can't be centred."""
    return _Following(Reading.of(patient, verb), path).run()


class _Following:
    def __init__(self, reading: Reading, path: str) -> None:
        self.reading, self.patient, self.path = reading, reading.patient, path
        norm = self.patient.module(path)
        assert isinstance(norm, nn.LayerNorm)
        self.made = Stream(int(norm.normalized_shape[0]))
        self.seen: dict[int, CallNode] = {}
        self.norm_calls: set[int] = set()
        self.waiting: list[CallNode] = []

    def run(self) -> Stream:
        self.normed(self.path)
        for call in self.waiting:  # grows while it is read
            self.write(call)
            for reader in self.reading.readers(call):
                self.read(call, reader)
        for path in self.made.writers:
            self.refuse_shared(path)
        return self.made

    def normed(self, path: str) -> None:
        """A norm reads the stream, in every call of it."""
        if path in self.made.norms:
            return
        refuse_twice(self.patient, path)
        self.made.norms[path] = None
        calls = self.reading.calls_of(self.patient.module(path))
        if not calls:
            raise SurgeryError("is never called", path=path)
        for call in calls:
            self.norm_calls.add(call.id)
            self.visit(self.reading.source(call), call)

    def visit(self, call: CallNode | None, reader: CallNode) -> None:
        if call is None:
            raise SurgeryError(
                "reads the model's input, which cannot be centred", path=_path(reader), got=said(reader)
            )
        if call.id not in self.seen:
            self.seen[call.id] = call
            self.waiting.append(call)

    def write(self, call: CallNode) -> None:
        """What `call` gives is in the stream: so is what it is given, or its weights write it."""
        module = self.reading.module(call)
        if isinstance(module, nn.Embedding):
            self.writes(call, f"{call.module}.weight", -1)
        elif module is not None and is_linear(module):
            self.writes(call, f"{call.module}.weight", -1 if is_transposed(module) else 0)
            if module._parameters.get("bias") is not None:
                self.writes(call, f"{call.module}.bias", -1)
        elif passes(self.reading, call, shifts=False) or call.function in _SUMS or self.scales(call):
            self.sources(call)
        elif call.function == "expand" and call.reads:
            self.direct(call)
        elif (conv := self.convolution(call)) is not None:
            self.writes(conv, f"{conv.module}.weight", 0)
            if self.patient.module(conv.module)._parameters.get("bias") is not None:
                self.writes(conv, f"{conv.module}.bias", -1)
        else:
            raise SurgeryError(
                "writes the residual stream, and is no embedding, linear layer or sum of such",
                path=_path(call),
                got=type(module).__name__ if module is not None else call.function,
            )

    def sources(self, call: CallNode) -> None:
        """All that a sum, a scaling or a view is made from."""
        for spec in call.inputs:
            if not spec.shape or spec.shape[-1] != self.made.width:
                raise SurgeryError(
                    "adds to the residual stream what is not of its width",
                    path=_path(call),
                    got=list(spec.shape),
                    expected=f"{self.made.width} at the end",
                )
        for edge in self.reading.sources(call):
            source = None if edge.source == INPUT else self.reading.calls[edge.source]
            self.visit(source, call)
        if len(self.reading.sources(call)) < len(call.inputs):
            raise SurgeryError(
                "adds a constant to the residual stream, which cannot be centred", path=_path(call)
            )
        self.direct(call)

    def direct(self, call: CallNode) -> None:
        """Parameters that a function reads by itself, such as position embeddings."""
        for path in call.reads:
            owner, _, name = path.rpartition(".")
            parameter = self.patient.module(owner)._parameters.get(name)
            if parameter is None or not parameter.dim() or parameter.shape[-1] != self.made.width:
                raise SurgeryError(
                    "is added to the residual stream, and is no parameter of its width", path=path
                )
            self.made.writers.setdefault(path, -1)

    def scales(self, call: CallNode) -> bool:
        """Whether it multiplies by one plain number."""
        return call.function in _SCALED and len(call.inputs) == 1 and not call.reads

    def convolution(self, call: CallNode) -> CallNode | None:
        """The convolution whose channels a chain of reshapes makes the last dimension, such as patches."""
        while call.function in _MOVED and len(self.reading.readers(call)) == 1:
            source = self.reading.source(call)
            if source is None:
                return None
            self.seen[call.id] = call
            call = source
        module = self.reading.module(call)
        fits = isinstance(module, _ConvNd) and not isinstance(module, _ConvTransposeNd)
        return call if fits and module.out_channels == self.made.width else None  # type: ignore[union-attr]

    def writes(self, call: CallNode, path: str, dim: int) -> None:
        """All calls of the module write this stream."""
        refuse_twice(self.patient, call.module)
        self.seen[call.id] = call
        self.made.writers.setdefault(path, dim)
        for other in self.reading.calls_of(self.patient.module(call.module)):
            self.visit(other, other)

    def read(self, call: CallNode, reader: CallNode | None) -> None:
        """Refuses readers to which a mean would matter."""
        if reader is not None and (reader.id in self.norm_calls or reader.id in self.seen):
            return
        module = None if reader is None else self.reading.module(reader)
        if reader is not None and module is not None and is_layer_norm(module):
            self.normed(reader.module)
        elif reader is not None and self.stays(reader):
            self.visit(reader, call)
        elif reader is None or reader.function not in _SHAPES:
            raise SurgeryError(
                "the residual stream that it reads is also read by what is no LayerNorm",
                path=self.path,
                got=said(reader),
            )

    def stays(self, reader: CallNode) -> bool:
        """Whether what it gives is in the stream too."""
        last = reader.outputs[0].shape[-1:] if reader.outputs else ()
        summed = reader.function in _SUMS and last == (self.made.width,)
        return summed or passes(self.reading, reader, shifts=False) or self.scales(reader)

    def refuse_shared(self, path: str) -> None:
        """A tied writer is centred at all its places at once, if all of them write the stream."""
        mine = self.made.writers
        owner, _, name = path.rpartition(".")
        parameter = self.patient.module(owner)._parameters[name]
        places = self.patient.sites()[id(parameter)]
        for other in [place for place in places if mine.get(place) != mine[path]]:
            raise SurgeryError(
                "writes the residual stream and is tied to what does not",
                path=path,
                got=other,
                hint=f'`untie("{other.rpartition(".")[0]}")` first',
            )
        beside = self.reading.other_owner(path, self.seen.values()) if len(places) == 1 else None
        if beside is not None:
            raise SurgeryError(
                "writes the residual stream, and its weight is also read elsewhere", path=path, got=beside
            )


def _path(call: CallNode) -> str:
    """Where a call is made."""
    return call.module or "(root)"
