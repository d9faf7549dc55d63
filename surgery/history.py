"""The history of a session: a tree of states, of which one is current."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from surgery.errors import SurgeryError
from surgery.journal import Journal
from surgery.operation import Operation
from surgery.script import python_of

if TYPE_CHECKING:
    from graph.nodes import ModuleGraph
    from surgery.evaluate import Report
    from surgery.tracing import Tracing
    from surgery.whereabouts import Place


@dataclass(eq=False, repr=False)
class State:
    """A node of the history tree: the step that led here, its journal, and what was measured.

    `places` are the names of the modules in this state, for errors about names that went.
    """

    id: int
    parent: State | None = None
    step: Operation | None = None
    journal: Journal = field(default_factory=Journal)
    children: list[State] = field(default_factory=list)
    graph: ModuleGraph | None = None
    tracing: Tracing | None = None
    report: Report | None = None
    places: tuple[Place, ...] = ()

    def __repr__(self) -> str:
        return f"<State {self.id}: {python_of(self.step) if self.step else 'the original'}>"

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
    """The tree and the current state; moving puts the model where that state had left it."""

    def __init__(self) -> None:
        self.base = State(0)
        self.current = self.base
        self._made = 0
        self._redo: dict[int, State] = {}

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
        return state

    def next_id(self) -> int:
        """The id the next state will have."""
        return self._made + 1

    def undo(self) -> State:
        """The state before becomes current."""
        if self.current.parent is None:
            raise SurgeryError("there is nothing to undo")
        self.current.journal.undo()
        self._redo[self.current.parent.id] = self.current
        self.current = self.current.parent
        return self.current

    def redo(self) -> State:
        """The state last undone from here becomes current."""
        following = self._redo.get(self.current.id)
        if following is None:
            raise SurgeryError("there is nothing to redo")
        following.journal.redo()
        self.current = following
        return following

    @property
    def can_redo(self) -> bool:
        return self.current.id in self._redo

    def goto(self, state_id: int) -> State:
        """The state with this id becomes current: up to the common ancestor, then down."""
        target = next((state for state in self if state.id == state_id), None)
        if target is None:
            raise SurgeryError("the history has no such state", got=state_id)
        line = target.lineage()
        while self.current not in line:
            self.undo()
        for state in line[line.index(self.current) + 1 :]:
            state.journal.redo()
            self._redo[self.current.id] = state
            self.current = state
        return target
