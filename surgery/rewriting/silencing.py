"""What a block adds to what it is given, and which of its parameters make that nothing when they are zero."""

from __future__ import annotations

from torch import nn

from graph.nodes import INPUT, OUTPUT, CallNode
from surgery.adapters.lora import is_linear
from surgery.errors import SurgeryError
from surgery.model import Patient
from surgery.rewriting.absorbing import passes
from surgery.rewriting.norms import norm_of
from surgery.rewriting.reading import Reading, said

_ADDS = frozenset({"add", "add_", "iadd", "radd"})
_PRODUCTS = frozenset({"mul", "mul_", "imul", "rmul", "div", "div_", "truediv"})
_MOVED = frozenset({"view", "reshape", "transpose", "permute", "contiguous", "flatten", "squeeze"})
_MOVED |= {"unsqueeze", "roll"}


def silenced_by(patient: Patient, path: str, verb: str) -> list[str]:
    """The parameters in the block at `path`, named from it, whose zeros make it return what it is given.

    SurgeryError where it does not return its input plus something, or that has no projection at its end.
    """
    reading = Reading.of(patient, verb)
    return _Block(reading, path).run()


class _Block:
    def __init__(self, reading: Reading, path: str) -> None:
        self.reading, self.path = reading, path
        spans = [span for span in reading.graph.spans if span.module == path]
        if len(spans) != 1:
            raise SurgeryError("is no block that is called once", path=path, got=f"{len(spans)} runs")
        self.inside = range(spans[0].start, spans[0].stop)
        self.zero: dict[str, None] = {}

    def run(self) -> list[str]:
        leaving = {
            edge.source
            for edge in self.reading.graph.edges
            if edge.source in self.inside and (edge.target == OUTPUT or edge.target not in self.inside)
        }
        if len(leaving) != 1:
            raise SurgeryError("hands on more than one result", path=self.path, got=f"{len(leaving)} of them")
        last = self.reading.calls[leaving.pop()]
        if not self.carries(last):
            raise SurgeryError(
                "does not return its input plus something", path=self.path, got=f"{said(last)} at its end"
            )
        self.residual(last)
        for name in self.zero:
            self.refuse_tied(name)
        return [name.removeprefix(f"{self.path}.") for name in self.zero]

    def sources(self, call: CallNode) -> list[CallNode | None]:
        """What gives a call its tensors; None for what comes from outside the block."""
        edges = self.reading.sources(call)
        outside = [edge.source == INPUT or edge.source not in self.inside for edge in edges]
        return [
            None if out else self.reading.calls[edge.source] for edge, out in zip(edges, outside, strict=True)
        ]

    def carries(self, call: CallNode | None) -> bool:
        """Whether what a call gives is the block's input plus something, or that itself."""
        if call is None:
            return True
        if passes(self.reading, call, shifts=False) or call.function in _ADDS:
            return any(map(self.carries, self.sources(call)))
        return False

    def residual(self, call: CallNode | None) -> None:
        """Takes away all that is added on the way from the block's input."""
        if call is None:
            return
        sources = self.sources(call)
        carrying = [source for source in sources if self.carries(source)]
        if len(carrying) > 1 or call.reads:
            raise SurgeryError("adds its input twice, or a parameter", path=self.path, got=said(call))
        for source in sources:
            if source is carrying[0]:
                self.residual(source)
            else:
                self.silence(source)

    def silence(self, call: CallNode | None) -> None:
        """What a call gives becomes zero."""
        module = None if call is None else self.reading.module(call)
        if call is None:
            raise SurgeryError("adds what it is given from outside", path=self.path)
        if isinstance(module, nn.Conv1d | nn.Conv2d) or (module is not None and is_linear(module)):
            self.zeroed(call, module)
        elif module is not None and (kind := norm_of(module)) is not None:
            if module._parameters.get("bias") is not None and kind.offset == 0:
                self.zeroed(call, module)
            else:
                self.silence(self.sources(call)[0])
        elif passes(self.reading, call, shifts=False) or call.function in _MOVED:
            self.silence(self.sources(call)[0])
        elif call.function in _ADDS and not call.reads:
            for source in self.sources(call):
                self.silence(source)
        elif call.function in _PRODUCTS:
            self.silence(self.sources(call)[0])
        else:
            raise SurgeryError(
                "adds what ends in no linear layer, so that there is no weight whose zeros make it nothing",
                path=self.path,
                got=said(call),
            )

    def zeroed(self, call: CallNode, module: nn.Module | None) -> None:
        assert module is not None
        for name, parameter in module._parameters.items():
            if parameter is not None:
                self.zero[f"{call.module}.{name}"] = None

    def refuse_tied(self, path: str) -> None:
        """In the copy a tie inside the block holds; what else has the parameter must not become zero."""
        owner, _, name = path.rpartition(".")
        parameter = self.reading.patient.module(owner)._parameters[name]
        beside = [
            place
            for place in self.reading.patient.sites()[id(parameter)]
            if place.startswith(f"{self.path}.") and place not in self.zero
        ]
        if beside:
            raise SurgeryError(
                "would be zero, and is tied inside the block",
                path=path,
                got=beside[0],
                hint=f'`untie("{owner}")`',
            )
