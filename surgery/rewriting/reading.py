"""Reading a model's graph for a rewrite: who reads what a call gives, and who else has a weight."""

from __future__ import annotations

from collections.abc import Iterable

from torch import nn

from graph.extract import extract
from graph.nodes import INPUT, OUTPUT, CallNode, Edge, ModuleGraph
from surgery.errors import SurgeryError
from surgery.model import Patient
from surgery.tracing import values_unchecked

THE_RESULT = "what the model returns"


class Reading:
    """The calls of a patient's forward on its example inputs, and the data edges between them."""

    def __init__(self, patient: Patient, graph: ModuleGraph) -> None:
        self.patient, self.graph = patient, graph
        self.into: dict[int, list[Edge]] = {}
        self.out: dict[int, list[Edge]] = {}
        for edge in graph.edges:
            self.into.setdefault(edge.target, []).append(edge)
            self.out.setdefault(edge.source, []).append(edge)
        self.calls = {call.id: call for call in graph.calls}
        self._of: dict[nn.Module, list[CallNode]] = {}
        for call in graph.calls:
            if call.function is None:
                self._of.setdefault(patient.module(call.module), []).append(call)
        self._reads: dict[str, list[CallNode]] = {}
        for call in graph.calls:
            for path in call.reads:
                self._reads.setdefault(path, []).append(call)

    @classmethod
    def of(cls, patient: Patient, verb: str) -> Reading:
        """The reading of a patient, made once; SurgeryError where it has no example inputs or cannot run."""
        known = patient.known.get("reading")
        if isinstance(known, cls):
            return known
        if patient.inputs is None:
            raise SurgeryError(
                f"what {verb} may change shows only when the model runs, and there are no example inputs",
                hint="`surgery.open(model, inputs)`",
            )
        with values_unchecked():
            graph = extract(patient.root, patient.inputs)
        if graph.problem is not None or not graph.calls:
            said = graph.problem.message if graph.problem else "it makes no calls"
            raise SurgeryError(f"{verb} cannot follow the forward of this model: {said}")
        found = patient.known["reading"] = cls(patient, graph)
        return found

    def module(self, call: CallNode) -> nn.Module | None:
        """The module that is called; None for a function."""
        return None if call.function is not None else self.patient.module(call.module)

    def calls_of(self, module: nn.Module) -> list[CallNode]:
        """All calls of this very module, at whatever path."""
        return self._of.get(module, [])

    def source(self, call: CallNode, argument: int = 0) -> CallNode | None:
        """The call that gives this one its tensor argument; None for the model's input."""
        found = [edge.source for edge in self.into.get(call.id, []) if edge.argument == argument]
        return self.calls.get(found[0]) if found and found[0] != INPUT else None

    def sources(self, call: CallNode) -> list[Edge]:
        """The edges that lead into a call, in the order of its arguments."""
        return sorted(self.into.get(call.id, []), key=lambda edge: edge.argument)

    def readers(self, call: CallNode) -> list[CallNode | None]:
        """The calls that read what this one gives, each once; None stands for the model's result."""
        targets = dict.fromkeys(edge.target for edge in self.out.get(call.id, []))
        return [None if target == OUTPUT else self.calls[target] for target in targets]

    def other_owner(self, path: str, calls: Iterable[CallNode]) -> str | None:
        """Who else has the parameter at `path`: another path of it, or a call beside these that reads it."""
        owner, _, name = path.rpartition(".")
        parameter = self.patient.module(owner)._parameters.get(name)
        if parameter is None:
            return None
        paths = self.patient.sites()[id(parameter)]
        others = [other for other in paths if other != path]
        if others:
            return others[0]
        mine = {call.id for call in calls}
        beside = [call for call in self._reads.get(path, []) if call.id not in mine]
        return said(beside[0]) if beside else None


def said(call: CallNode | None) -> str:
    """A call in words: the path of its module, with the function where it is one."""
    if call is None:
        return THE_RESULT
    return call.module if call.function is None else f"{call.function} in {call.module or 'the model'}"
