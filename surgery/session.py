"""The session: a model under surgery with its history. The only place that changes a model."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from torch import nn

from graph.costs import costs, kv_cache_bytes_per_token
from graph.extract import extract
from graph.nodes import ModuleGraph
from graph.shell import NotShellable, shell
from surgery.edits import Site
from surgery.errors import SurgeryError
from surgery.fingerprint import Fingerprinter
from surgery.history import History, State
from surgery.journal import Journal
from surgery.model import Patient
from surgery.operation import Operation
from surgery.preview import Preview, nonzero, refuse_broken, sketch
from surgery.registry import operation_named, operations
from surgery.runs import Live
from surgery.script import Base, Script

if TYPE_CHECKING:
    from surgery.evaluate import Evaluator, Examples, Report
    from surgery.sources import Opened


class Session:
    """A model under surgery.

    `model` is the edited module, ready to run; the opened one is never touched. Every operation is a
    method of its name: `s.remove("model.layers[3]")`. One that is refused raises SurgeryError and
    leaves everything as it was.
    """

    def __init__(self, opened: Opened) -> None:
        self.opened = opened
        try:
            self.model: nn.Module = shell(opened.model).model
        except NotShellable as error:
            raise SurgeryError(error.reason, path=error.path or "(root)") from None
        self.history = History()
        self.lock = threading.RLock()
        self._origins: WeakKeyDictionary[nn.Module, str] = WeakKeyDictionary()
        self._fingerprinter = Fingerprinter()
        self._base_fingerprint: str | None = None
        self._evaluator: Evaluator | None = None
        self._name_origins(None)

    # What it is now -------------------------------------------------------------------------

    @property
    def patient(self) -> Patient:
        """The model as operations see it."""
        return Patient(self.model)

    @property
    def graph(self) -> ModuleGraph:
        """The graph of the current state; traced once per state."""
        with self.lock:
            state = self.history.current
            if state.graph is None:
                state.graph = self._traced()
            return state.graph

    @property
    def steps(self) -> tuple[Operation, ...]:
        """The steps from the base to the current state."""
        return tuple(state.step for state in self.history.current.lineage() if state.step)

    @property
    def script(self) -> Script:
        """The steps from the base to the current state as data, with the fingerprints of both."""
        return Script(self.base, self.steps, None if self.is_skeleton else self.fingerprint())

    @property
    def base(self) -> Base:
        """The identity of the opened model; its fingerprint is made when first asked for."""
        if self._base_fingerprint is None and not self.is_skeleton:
            self._base_fingerprint = self._fingerprinter(self.opened.model)
        return Base(self.opened.source, type(self.opened.model).__name__, self._base_fingerprint)

    @property
    def is_skeleton(self) -> bool:
        """Whether the model was opened without its weights."""
        return any(parameter.is_meta for parameter in self.opened.model.parameters())

    def fingerprint(self) -> str:
        """The content fingerprint of the model as it is now."""
        with self.lock:
            return self._fingerprinter(self.model)

    # Operating ------------------------------------------------------------------------------

    def __getattr__(self, name: str) -> Callable[..., State]:
        if name.startswith("_") or name not in operations():
            raise AttributeError(f"a session has no attribute or operation {name!r}")
        cls = operation_named(name)
        return lambda *values, **named: self.apply(cls.of(*values, **named))

    def apply(self, operation: Operation) -> State:
        """Applies one operation; the new state is current. Refused or failing, nothing has changed."""
        with self.lock:
            before = self.graph
            patient = self.patient
            step = operation.resolved(patient)
            edits = list(step.plan(patient))
            journal = Journal()
            site = Site(self.model, journal, Live())
            try:
                for edit in edits:
                    edit.apply(site)
                self._name_origins(self.history.next_id())
                graph = self._traced()
                if before.problem is None:
                    refuse_broken(graph, step.name)
            except BaseException:
                journal.undo()
                raise
            state = self.history.add(step, journal)
            state.graph = graph
            return state

    def preview(self, *steps: Operation) -> Preview:
        """What these steps would cost one after another, without doing anything."""
        with self.lock:
            drawn = sketch(self.model)
            resolved: list[Operation] = []
            for step in steps:
                patient = Patient(drawn.model)
                resolved.append(step.resolved(patient))
                site = Site(drawn.model, Journal(), drawn.run)
                for edit in list(resolved[-1].plan(patient)):
                    edit.apply(site)
            origins = {
                new: self._origins[old] for new, old in drawn.source_of.items() if old in self._origins
            }
            graph = extract(drawn.model, self.opened.inputs, origins=origins)
            if self.graph.problem is None and steps:
                refuse_broken(graph, steps[-1].name)
            return Preview(
                tuple(resolved),
                costs(self.graph, kv_bytes_per_token=kv_cache_bytes_per_token(self.graph)),
                costs(graph, kv_bytes_per_token=kv_cache_bytes_per_token(graph)),
                graph,
                nonzero(drawn, self.model),
            )

    def undo(self) -> State:
        """Back to the state before: the very same objects."""
        with self.lock:
            return self.history.undo()

    def redo(self) -> State:
        """Forward again to the state last undone; nothing is computed."""
        with self.lock:
            return self.history.redo()

    def goto(self, state: State | int) -> State:
        """To any state of the history."""
        with self.lock:
            return self.history.goto(state.id if isinstance(state, State) else state)

    # Measuring, showing, keeping --------------------------------------------------------------

    def evaluator(self, examples: Examples | None = None, device: str = "auto") -> Evaluator:
        """The evaluator that compares with the opened model, kept so that its baseline is measured once."""
        from surgery.evaluate import Evaluator, default_examples

        if self.is_skeleton:
            raise SurgeryError("a model opened without weights cannot be evaluated")
        if self._evaluator is None or examples is not None:
            chosen = examples or default_examples(self.opened.model, self.opened.tokenizer)
            self._evaluator = Evaluator(self.opened.model, examples=chosen, device=device)
        return self._evaluator

    def evaluate(self, budget_s: float = 2.0, examples: Examples | None = None) -> Report:
        """Fidelity to the opened model and perplexity, with intervals, within about `budget_s` seconds."""
        with self.lock:
            state, model = self.history.current, shell(self.model).model
        state.report = self.evaluator(examples).evaluate(model, budget_s=budget_s)
        return state.report

    def save(self, folder: str | Path, *, overwrite: bool = False) -> Path:
        """Writes weights, config, tokenizer, script and card; see `surgery.checkpoint.save`."""
        from surgery.checkpoint.save import save

        with self.lock:
            return save(self, Path(folder), overwrite=overwrite)

    def view(self) -> Any:
        """The studio on this session, for a notebook cell."""
        from surgery.frontends import frontend

        return frontend("studio")(self)

    def __repr__(self) -> str:
        return f"<surgery.Session {type(self.model).__name__}, {len(self.steps)} steps>"

    # Inside -----------------------------------------------------------------------------------

    def _traced(self) -> ModuleGraph:
        return extract(self.model, self.opened.inputs, origins=self._origins)

    def _name_origins(self, step: int | None) -> None:
        for path, module in self.model.named_modules():
            self._origins.setdefault(module, path if step is None else f"{step}:{path}")
