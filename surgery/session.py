"""The session: a model under surgery with its history. The only place that changes a model."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from torch import nn
from torch.optim import Optimizer

from graph.nodes import ModuleGraph
from graph.tracing.shared import uncollected
from surgery.aliased import models_of
from surgery.copies import settled
from surgery.devices import device_of
from surgery.errors import SurgeryError
from surgery.fingerprint import Fingerprinter
from surgery.history import History, State
from surgery.journal import Journal
from surgery.model import Patient, private_shell
from surgery.operation import Operation
from surgery.optimisers import Watch
from surgery.preview import Preview, figures, refuse_failed, sketch
from surgery.registry import operation_named, operations, why_not
from surgery.rewriting.proof import Witness
from surgery.runs import Live, Skeleton, carry_out
from surgery.script import Base, Script, made_with
from surgery.showing import Showing
from surgery.tracing import Tracing
from surgery.whereabouts import named, recalling

if TYPE_CHECKING:
    from surgery.sources import Opened


class Session(Showing):
    """A model under surgery.

    `model` is the edited module, ready to run; the opened one is never touched. Every operation is a
    method of its name: `s.remove("model.layers[3]")`. One that is refused raises SurgeryError and
    leaves everything as it was.
    """

    def __init__(self, opened: Opened) -> None:
        super().__init__(opened)
        self._model = private_shell(opened.model)
        self._watch = Watch(self._model)
        self.history = History(self._model, opened.model, self.lock)
        self.tracing = Tracing(opened.inputs)
        self._origins: WeakKeyDictionary[nn.Module, str] = WeakKeyDictionary()
        self.fingerprinter = Fingerprinter()
        self._base_fingerprint: str | None = None
        self.history.base.places = named(self._model, self._origins, None)

    # What it is now -------------------------------------------------------------------------

    @property
    def model(self) -> nn.Module:
        """The edited module, ready to run; what a step copied is in memory of its own by then."""
        settled()
        return self._model

    @property
    def patient(self) -> Patient:
        """The model as operations see it."""
        return Patient(self._model, *self._came_along)

    @property
    def graph(self) -> ModuleGraph:
        """The graph of the current state; traced once per state."""
        with self.lock:
            state = self.history.current
            if (graph := state.graph) is None or state.tracing is not self.tracing:
                graph = self.tracing(self._model, self._origins)
                state.show(graph, self.tracing)
            return graph

    @property
    def note(self) -> str | None:
        """What to know of how the model was opened and traced; None if there is nothing to say."""
        from surgery.sources.notes import note_on

        return note_on(self.opened, self.graph) if self.tracing.inputs is self.opened.inputs else None

    @property
    def steps(self) -> tuple[Operation, ...]:
        """The steps from the base to the current state."""
        return tuple(state.step for state in self.history.current.lineage() if state.step)

    @property
    def script(self) -> Script:
        """The steps from the base to the current state as data, with the fingerprints of both."""
        if self.is_skeleton:
            return Script(self.base, self.steps)
        with self.lock:
            signature = self.fingerprinter.signature(self.model, self.opened.model)
        return Script(self.base, self.steps, *signature, made_with(device_of(self._model).type))

    @property
    def base(self) -> Base:
        """The identity of the opened model; its fingerprint is made when first asked for."""
        if self._base_fingerprint is None and not self.is_skeleton:
            self._base_fingerprint = self.fingerprinter(self.opened.model)
        return Base(self.opened.source, type(self.opened.model).__name__, self._base_fingerprint)

    @property
    def is_skeleton(self) -> bool:
        """Whether the model was opened without its weights."""
        return any(parameter.is_meta for parameter in self.opened.model.parameters())

    def fingerprint(self) -> str:
        """The content fingerprint of the model as it is now."""
        with self.lock:
            return self.fingerprinter(self.model)

    # Operating ------------------------------------------------------------------------------

    def __getattr__(self, name: str) -> Callable[..., State]:
        if name in dir(type(self)):  # a property raised AttributeError: say which, not that it is missing
            value: Callable[..., State] = object.__getattribute__(self, name)
            return value
        if name.startswith("_") or name not in operations():
            raise AttributeError(f"a session has no attribute or operation {name!r}{why_not(name)}")
        cls = operation_named(name)
        return lambda *values, **fields: self.apply(cls.of(*values, **fields))

    def apply(self, operation: Operation) -> State:
        """Applies one operation; the new state is current. Refused or failing, nothing has changed."""
        with self.lock:
            before, on_fakes = self.graph, self._on_fakes()
            witness = Witness(operation, self._model, self.tracing.inputs)
            state = self._made(operation, lambda step: self._checked(step, before, on_fakes, witness))
            state.proof = witness.proof
            return state

    def apply_unchecked(self, operation: Operation) -> State:
        """Applies one operation without a trace after it: `check` finds out whether the model still runs."""
        with self.lock:
            return self._made(operation, lambda step: None)

    def check(self) -> None:
        """Refuses the first step to the current state that `apply` would have refused, and stays there."""
        with self.lock:
            base, *line = self.history.current.lineage()
            self.goto(base)
            for state in line:
                assert state.step is not None
                before, on_fakes = self.graph, self._on_fakes()
                witness = Witness(state.step, self._model, self.tracing.inputs)
                self.goto(state)
                state.show(self._checked(state.step, before, on_fakes, witness), self.tracing)
                state.proof = witness.proof

    def preview(self, *steps: Operation | str, **fields: Any) -> Preview:
        """What these steps would cost one after another, without doing anything.

        Either operations, or one in words: `s.preview("remove", "model.layers[3]")`.
        """
        if steps and isinstance(steps[0], str):
            steps = (operation_named(steps[0]).of(*steps[1:], **fields),)
        planned = [step for step in steps if isinstance(step, Operation)]
        with uncollected.at_least(True):  # a collection takes as long as the preview
            with self.lock:  # only as long as the model is looked at: the rest works on the skeleton
                before, along = self._on_fakes(), self._came_along
                drawn = sketch(self._model, self._origins)
            with recalling(self.history):
                resolved = tuple(
                    carry_out(step, drawn.model, Journal(), drawn.run, *along, origins=drawn.origins)
                    for step in planned
                )
            found = figures(drawn, resolved, before, self.tracing)
            del drawn  # so that the collector, once it is back, finds only what is kept
        return found

    def retrace(self, inputs: Any = None, *, real: bool = True) -> ModuleGraph:
        """The graph traced anew, and from now on so: on other `inputs`, and run on real weights.

        A `real` run sees what a trace on shapes had to guess (`ModuleNode.opaque`). It computes everything,
        on a copy of the weights where they are. Raises SurgeryError for a skeleton, and without inputs.
        """
        with self.lock:
            inputs = self.tracing.inputs if inputs is None else inputs
            if inputs is None:
                raise SurgeryError("there are no example inputs to run on", hint="`s.retrace(inputs)`")
            if real and self.is_skeleton:
                raise SurgeryError("a model opened without weights cannot be run")
            before, self.tracing = self.tracing, Tracing(inputs, real)
            try:
                return self.graph
            except BaseException:
                self.tracing = before
                raise

    def undo(self) -> State:
        """Back to the state before: the very same objects."""
        with self.lock:
            return self._moved(self.history.undo)

    def redo(self) -> State:
        """Forward again to the state last undone; nothing is computed."""
        with self.lock:
            return self._moved(self.history.redo)

    def goto(self, state: State | int) -> State:
        """To any state of the history."""
        with self.lock:
            return self._moved(lambda: self.history.goto(state.id if isinstance(state, State) else state))

    def stale(self, optimiser: Optimizer) -> tuple[str, ...]:
        """Paths of the Parameters that this torch optimiser holds and edits have taken out of the model."""
        return self._watch.stale(optimiser)

    # Keeping --------------------------------------------------------------------------------

    def save(
        self,
        folder: str | Path,
        *,
        overwrite: bool = False,
        plain: bool = False,
        max_shard_size: int | str = "5GB",
        memory: int | str | None = None,
        resume: bool = False,
    ) -> Path:
        """Writes weights, config, tokenizer, script and card; see `surgery.checkpoint.save`.

        `plain`: for transformers alone, if it can be. Weights beyond `max_shard_size` go into several files.
        A skeleton's are read piece by piece, in `memory` ("4GB"); `resume` goes on where such a save stopped.
        """
        from surgery.checkpoint.save import save

        options: Any = {"plain": plain, "max_shard_size": max_shard_size, "memory": memory, "resume": resume}
        with self.lock:
            place = save(self, Path(folder), overwrite=overwrite, **options)
            self.history.saved(self.history.current)
        return place

    def __repr__(self) -> str:
        return f"<surgery.Session {type(self._model).__name__}, {len(self.steps)} steps>"

    # Inside -----------------------------------------------------------------------------------

    def _made(self, operation: Operation, check: Callable[[Operation], ModuleGraph | None]) -> State:
        """The state after `operation`, with the graph that `check` returns, unless that refuses the step."""
        journal = Journal()
        try:
            with recalling(self.history):
                operation = self.measured(operation)
                run = Skeleton() if self.is_skeleton else Live()
                along = self._came_along
                step = carry_out(operation, self._model, journal, run, *along, origins=self._origins)
            models_of((*self.steps, step))  # each name means one model
            places = named(self._model, self._origins, self.history.next_id())
            graph = check(step)
        except BaseException:
            journal.undo()
            raise
        state = self.history.add(step, journal, places)
        if graph is not None:
            state.show(graph, self.tracing)
        self._watch.note()
        return state

    def _checked(
        self, step: Operation, before: ModuleGraph, on_fakes: ModuleGraph, witness: Witness
    ) -> ModuleGraph:
        """The graph of the model as it is, to be shown; SurgeryError if `step` broke it."""
        graph = self.tracing.on_fakes(self._model, self._origins)
        shown = self.tracing(self._model, self._origins) if self.tracing.real else graph
        refuse_failed(step, before, on_fakes, shown, graph)
        witness.testify(step, self._model)
        return shown

    @property
    def _came_along(self) -> tuple[Any, Any]:
        """The example inputs as they are now, and the tokenizer."""
        return self.tracing.inputs, self.opened.tokenizer

    def _on_fakes(self) -> ModuleGraph:
        """The graph of the current state that other graphs of fakes can be compared with."""
        return self.tracing.on_fakes(self._model, self._origins) if self.tracing.real else self.graph

    def _moved(self, move: Callable[[], State]) -> State:
        """Moves in the history; modules that come back are in the mode, train or eval, of the model now."""
        present, state = set(self._model.modules()), move()
        self._watch.note()
        for module in self._model.modules():
            if module not in present:
                module.training = self._model.training
        return state
