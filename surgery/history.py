"""The history of a session: a tree of states, of which one is current."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from torch import nn

from graph.units import short
from surgery.errors import SurgeryError
from surgery.journal import Journal
from surgery.keeping import Keeper, Kept
from surgery.operation import Operation
from surgery.script import python_of
from surgery.watchers import Watchers

if TYPE_CHECKING:
    from graph.nodes import ModuleGraph
    from surgery.advise import Advice
    from surgery.budget.trials import Trial
    from surgery.evaluate import Report
    from surgery.evaluate.speed import SpeedReport
    from surgery.evaluate.sweep import SweepReport
    from surgery.rewriting.proof import Proof
    from surgery.tracing import Tracing
    from surgery.whereabouts import Place

MOST_SHOWN = 20
"""States that `repr` of a history lists."""


@dataclass(eq=False, repr=False)
class State:
    """A node of the history tree: the step that led here, its journal, and what was measured.

    `name` is what somebody called it, `saved` whether a model or a script was written of it. `places` are the
    names of the modules in this state, for errors about names that went. `advice` is by the adviser's name.
    """

    id: int
    parent: State | None = None
    step: Operation | None = None
    journal: Journal = field(default_factory=Journal)
    children: list[State] = field(default_factory=list)
    graph: ModuleGraph | None = None
    tracing: Tracing | None = None
    report: Report | None = None
    sweeps: dict[str, SweepReport] = field(default_factory=dict)
    """The last sweep of each operation, by its name; the latest of them at the end."""
    trials: list[Trial] = field(default_factory=list)
    """What plans of several edits, tried on this state, were measured to cost together."""
    layers: Report | None = None
    speed: SpeedReport | None = None
    advice: dict[str, Advice] = field(default_factory=dict)
    places: tuple[Place, ...] = ()
    name: str | None = None
    saved: bool = False
    proof: Proof | None = None
    """Of a step that claims to be exact: how far outputs moved in float64, or why that is not known."""

    def __repr__(self) -> str:
        return f"<State {self.id}: {python_of(self.step) if self.step else 'the original'}>"

    @property
    def sweep(self) -> SweepReport | None:
        """The latest sweep."""
        return next(reversed(self.sweeps.values()), None)

    @sweep.setter
    def sweep(self, report: SweepReport) -> None:
        self.sweeps = {name: found for name, found in self.sweeps.items() if name != report.operation}
        self.sweeps[report.operation] = report

    def show(self, graph: ModuleGraph, tracing: Tracing) -> None:
        """Keep the graph of this state, and how it was traced."""
        self.graph, self.tracing = graph, tracing

    def lineage(self) -> list[State]:
        """The states from the base to this one, both included."""
        line, state = [self], self.parent
        while state is not None:
            line.append(state)
            state = state.parent
        return line[::-1]


class History:
    """The tree and the current state; moving puts the model where that state had left it.

    It keeps the tensors that its states need. Those that neither `model`, as it is now, nor the `opened` one
    holds are moved out of the way where they are more than `limit_bytes`: see `surgery.keeping`. `lock` is
    held while tensors move. `watchers` are told when the current state has changed, states went, or one was
    measured or saved.
    """

    def __init__(
        self,
        model: nn.Module | None = None,
        opened: nn.Module | None = None,
        lock: AbstractContextManager[object] | None = None,
    ) -> None:
        self.base = State(0)
        self.current = self.base
        self._made = 0
        self._redo: dict[int, State] = {}
        self._keeper = Keeper()
        self.watchers = Watchers()
        self._model, self._opened, self._lock = model, opened, lock or nullcontext()

    def __iter__(self) -> Iterator[State]:
        """All states, parents before children, branches in the order they were made."""
        waiting = [self.base]
        while waiting:
            state = waiting.pop()
            yield state
            waiting.extend(reversed(state.children))

    def add(self, step: Operation, journal: Journal, places: tuple[Place, ...] = ()) -> State:
        """A new current state after the present one."""
        self._made += 1
        state = State(self._made, self.current, step, journal, places=places)
        self.current.children.append(state)
        self._redo[self.current.id] = state
        self.current = state
        self._settle()
        self.watchers.tell()
        return state

    def next_id(self) -> int:
        """The id the next state will have."""
        return self._made + 1

    def undo(self) -> State:
        """The state before becomes current."""
        if self.current.parent is None:
            raise SurgeryError("there is nothing to undo")
        return self._to(self.current.parent)

    def redo(self) -> State:
        """The state last undone from here becomes current."""
        following = self._redo.get(self.current.id)
        if following is None:
            raise SurgeryError("there is nothing to redo")
        return self._to(following)

    @property
    def can_redo(self) -> bool:
        return self.current.id in self._redo

    def goto(self, state_id: int) -> State:
        """The state with this id becomes current: up to the common ancestor, then down."""
        return self._to(self.state(state_id))

    def delete(self, state_id: int) -> None:
        """Forgets a state and all that were made from it; SurgeryError for one that the current needs."""
        with self._lock:
            state = self.state(state_id)
            if state in self.current.lineage():
                raise SurgeryError(
                    "the current state stands on this one, or is it",
                    path=f"state {state_id}",
                    hint="`s.goto` to another branch first",
                )
            assert state.parent is not None  # the base is in every lineage
            state.parent.children.remove(state)
            left = set(map(id, self))
            self._redo = {number: after for number, after in self._redo.items() if id(after) in left}
            self._settle()
        self.watchers.tell()

    def saved(self, state: State) -> None:
        """A model or a script was written of this state."""
        state.saved = True
        self.watchers.tell()

    def state(self, state_id: int) -> State:
        """The state with this id; SurgeryError if there is none."""
        found = next((state for state in self if state.id == state_id), None)
        if found is None:
            raise SurgeryError("the history has no such state", got=state_id)
        return found

    # What it keeps ----------------------------------------------------------------------------

    @property
    def size_bytes(self) -> int:
        """Bytes of tensors that only the history keeps, wherever they lie; `kept` says where."""
        return self.kept.size_bytes

    @property
    def kept(self) -> Kept:
        """Bytes of tensors that only the history keeps, on accelerators, in memory and in files."""
        with self._lock:
            return self._keeper.kept(self._holds(), self._others())

    @property
    def limit_bytes(self) -> int:
        """Beyond how much they move: from an accelerator to memory, from memory to a scratch file.

        By default a quarter of the memory there is. A new limit is kept to at once.
        """
        return self._keeper.limit_bytes

    @limit_bytes.setter
    def limit_bytes(self, limit_bytes: int) -> None:
        with self._lock:
            self._keeper.limit_bytes = limit_bytes
            self._keeper.settle(self._holds(), self._others())

    def __repr__(self) -> str:
        """A line per state, of many the last ones, and what they keep."""
        states, kept = list(self), self.kept
        said = ", ".join(
            f"{short(size, 'B')} {where}"
            for size, where in (
                (kept.accelerator_bytes, "on the accelerator"),
                (kept.memory_bytes, "in memory"),
                (kept.file_bytes, "in files"),
            )
            if size
        )
        limit = short(self.limit_bytes, "B")
        lines = [f"<History of {len(states)} states, which keep {said or 'no tensors'}; limit {limit}>"]
        hidden = max(0, len(states) - MOST_SHOWN)
        lines += [f"  … {hidden} before these"] if hidden else []
        for before, state in list(zip([None, *states], states, strict=False))[hidden:]:
            parent = state.parent
            branch = "" if parent is None or parent is before else f", after {parent.id}"
            step = python_of(state.step) if state.step else "the original"
            called = f" ({state.name})" if state.name else ""
            lines.append(f"{'>' if state is self.current else ' '} {state.id}{branch}{called}: {step}")
        return "\n".join(lines)

    # Inside -----------------------------------------------------------------------------------

    def _to(self, target: State) -> State:
        """Up to the common ancestor, then down. Where tensors do not fit back, to where it was before."""
        start = self.current
        self._walk(target)
        try:
            if self._model is not None:
                self._keeper.bring_back(self._model)
        except (MemoryError, RuntimeError) as error:
            self._walk(start)
            raise SurgeryError(
                "there is no memory for the tensors of this state",
                path=f"state {target.id}",
                got=str(error).partition("\n")[0],
            ) from None
        finally:
            self._settle()
        self.watchers.tell()
        return target

    def _walk(self, target: State) -> None:
        line = target.lineage()
        within = set(map(id, line))
        while id(self.current) not in within:
            self.current.journal.undo()
            assert self.current.parent is not None
            self._redo[self.current.parent.id] = self.current
            self.current = self.current.parent
        for state in line[line.index(self.current) + 1 :]:
            state.journal.redo()
            self._redo[self.current.id] = state
            self.current = state

    def _settle(self) -> None:
        if self._model is not None:
            self._keeper.follow(self._model, self._holds(), self._others())

    def _holds(self) -> Iterator[object]:
        """What the journals hold, those of the states made at about the same time as this one first."""
        for state in sorted(self, key=lambda state: abs(state.id - self.current.id)):
            yield from state.journal.holds()

    def _others(self) -> list[object]:
        return [self._model, self._opened]
