"""The list of pending edits by hand: added to, reordered, costed together, applied at once."""

from __future__ import annotations

from collections.abc import Sequence

from graph.nodes import ModuleGraph
from surgery.errors import SurgeryError
from surgery.operation import Operation
from surgery.preview import Preview
from surgery.session import Session
from surgery.together import all_or_none, together
from widgets.errands import notice_of
from widgets.operating import Operating
from widgets.panels import Message
from widgets.planned import Entry
from widgets.theatre import Theatre


class Pending:
    """What is pending in a studio: entries follow their modules when the state changes."""

    def __init__(self, theatre: Theatre, operating: Operating) -> None:
        self.theatre, self.operating = theatre, operating
        self.session, self.planned = theatre.session, theatre.desk.planned
        self._costed_on: ModuleGraph | None = None

    def add(self) -> None:
        """The draft becomes the last of the planned steps."""
        draft = self.theatre.desk.draft
        if draft is None or not draft.can_apply or draft.preview is None:
            return
        self.planned.made += 1
        self.planned.entries.append(Entry(self.planned.made, draft.preview.steps[0], self.theatre.graph))
        self.planned.waiting = True  # nothing can be applied that was not costed
        self.operating.drop()
        self.cost()

    def drop(self, message: Message) -> None:
        """Takes an entry out; without an id all of them."""
        number = message.get("id")
        self.planned.entries = [] if number is None else [e for e in self.planned.entries if e.id != number]
        self.cost()

    def move(self, message: Message) -> None:
        """Puts an entry at another place of the list."""
        entries, place = self.planned.entries, message.get("to")
        moved = next((entry for entry in entries if entry.id == message.get("id")), None)
        if moved is not None and isinstance(place, int):
            entries.remove(moved)
            entries.insert(max(0, min(place, len(entries))), moved)
            self.cost()

    def edit(self, message: Message) -> None:
        """Makes the draft of an entry again, which goes from the list."""
        for entry, step in self.planned.in_state(self.theatre.graph):
            if entry.id == message.get("id"):
                self.planned.entries.remove(entry)
                self.operating.prepare(step or entry.step)
                self.cost()

    def follow(self, graph: ModuleGraph) -> None:
        """What was costed in another state is costed again in this one."""
        if self.planned.entries and self._costed_on is not graph:
            self.cost()

    def cost(self) -> None:
        """Costs them one after another, beside the kernel's thread, and draws."""
        with self.theatre.drawing:
            self._costed_on = self.theatre.graph
            steps = self._steps()
            self.planned.waiting = bool(steps)
        self.theatre.shown()
        if steps:
            self.theatre.background.latest(
                "pending", lambda: _costed(self.session, steps), self._answered, self._failed
            )

    def _steps(self) -> list[tuple[Entry, Operation]]:
        found = []
        for entry, step in self.planned.in_state(self.theatre.graph):
            entry.before = entry.after = entry.error = None
            if step is None:
                entry.error = SurgeryError("what it is about is not in this state")
            else:
                found.append((entry, step))
        return found

    def _answered(self, found: Sequence[tuple[Entry, Preview | None, Preview | SurgeryError]]) -> None:
        with self.theatre.drawing:
            self.planned.waiting = False
            for entry, before, after in found:
                entry.before = before
                entry.error = after if isinstance(after, SurgeryError) else None
                entry.after = None if isinstance(after, SurgeryError) else after
            self.theatre.shown()

    def _failed(self, error: Exception) -> None:
        with self.theatre.drawing:
            self.planned.waiting = False
            self.theatre.errands.notice = notice_of(error)
            self.theatre.shown()

    def apply(self, message: Message) -> None:
        """Makes them all, or none: one that is refused takes those before it back."""
        if not self.planned.can_apply:
            return
        taken = self._steps()
        steps = [step for _, step in taken]
        ids = {entry.id for entry, _ in taken}

        def applied(_: None) -> None:
            self.planned.entries = [entry for entry in self.planned.entries if entry.id not in ids]
            self.operating.arrived()
            if message.get("evaluate") is True:
                self.theatre.errands.evaluate(self.theatre.errands.budget_s)

        def refused(error: Exception) -> None:
            self.operating.arrived()
            self.cost()
            self.theatre.errands.say(notice_of(error))

        self.theatre.carry(
            "Applying", lambda: all_or_none(self.session, together(self.session, *steps)), applied, refused
        )


def _costed(
    session: Session, steps: Sequence[tuple[Entry, Operation]]
) -> list[tuple[Entry, Preview | None, Preview | SurgeryError]]:
    """Each with what the model costs before it and after it; an entry that is refused counts for nothing."""
    found: list[tuple[Entry, Preview | None, Preview | SurgeryError]] = []
    fitting: list[Operation] = []
    last: Preview | None = None
    for entry, step in steps:
        try:
            after = session.preview(*together(session, *fitting, step))
        except SurgeryError as error:
            found.append((entry, last, error))
        else:
            found.append((entry, last, after))
            fitting.append(step)
            last = after
    return found
