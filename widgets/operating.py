"""Operations by hand: a draft with its dry run, what is pending, applying, and moving in the history."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from threading import Event

from surgery.charts import Chart
from surgery.errors import SurgeryError
from surgery.evaluate.evaluator import Progress
from surgery.operation import Operation
from surgery.preview import Preview
from surgery.registry import operations
from widgets.desk import Draft
from widgets.drafts import change, draft_of, start
from widgets.errands import Notice, notice_of, refusal_of
from widgets.panels import Message
from widgets.theatre import Theatre


class Operating:
    """The draft of a studio, and what becomes of it."""

    def __init__(self, theatre: Theatre) -> None:
        self.theatre, self.desk, self.session = theatre, theatre.desk, theatre.session
        self._state = self.session.history.current

    # The draft -----------------------------------------------------------------------------------

    def draft(self, name: str) -> None:
        """Begins the operation on the selection, and its dry run; typed values outlive a new selection."""
        if name in operations():
            self.prepare(start(name, self.theatre.graph, self.desk.selection, before=self.desk.draft))

    def prepare(self, draft: Draft | Operation) -> None:
        """Puts a draft on the desk with its dry run; of a step the one that a form would have made it of."""
        made = draft if isinstance(draft, Draft) else draft_of(draft)
        self._state = self.session.history.current
        self.desk.draft, self.desk.alert = made, None
        self._dry_run(made)

    def field(self, message: Message) -> None:
        """A new value of a field."""
        if self.desk.draft is not None:
            change(self.desk.draft, str(message.get("name", "")), message.get("value"))
            self._dry_run(self.desk.draft)

    def selected(self) -> None:
        """The selection has changed: the draft follows it."""
        self.desk.alert = None
        if self.desk.draft is not None:
            self.draft(self.desk.draft.operation)
        else:
            self.theatre.shown()

    def drop(self) -> None:
        """Takes the draft away."""
        self._forget()
        self.desk.draft = self.desk.alert = None
        self.theatre.shown()

    def apply(self) -> None:
        """Applies the draft: a refusal is shown at its node and changes nothing."""
        draft = self.desk.draft
        if draft is None:
            return
        self._forget()
        try:
            step = draft.step()
        except SurgeryError as error:
            self._refused(draft, error)
            return
        if step.awaits_measure:
            self._measure(draft, step)
        else:
            self._carry(draft, step)

    def _carry(self, draft: Draft, step: Operation) -> None:
        self.theatre.carry(
            f"Applying {draft.operation}",
            lambda: self.session.apply(step),
            lambda _: self.arrived(),
            lambda error: self._refused(draft, refusal_of(error)),
        )

    def _measure(self, draft: Draft, step: Operation) -> None:
        """Measures what the step has to know of values, with a bar and Stop, and applies it then."""
        state, errands = self.session.history.current, self.theatre.errands

        def measured(found: Operation | SurgeryError) -> Notice | None:
            if isinstance(found, SurgeryError):
                self._refused(draft, found)
            elif self.session.history.current is not state:
                return notice_of(SurgeryError("what was measured is of a state that was left meanwhile"))
            else:
                self._carry(draft, found)
            return errands.notice

        def work(stop: Event, tell: Progress) -> Operation | SurgeryError:
            try:
                return self.session.measured(step, progress=tell, stop=stop)
            except SurgeryError as error:  # it belongs at its node, and not in the bar alone
                return error

        errands.measure("step", f"Measuring for {draft.operation}", work, measured)

    def try_out(self, step: Operation) -> None:
        """Applies a step and evaluates what came of it; nothing is saved."""

        def applied(_: object) -> None:
            self.arrived()
            self.theatre.errands.evaluate(self.theatre.errands.budget_s)

        self.theatre.carry(f"Applying {step.name}", lambda: self.session.apply(step), applied, self._said)

    def _dry_run(self, draft: Draft) -> None:
        with self.theatre.drawing:
            asked = draft.ask()
        try:
            step = draft.step()
        except SurgeryError as error:
            self._answered(draft, asked, None, error)
            return
        self.theatre.shown()
        self._narrow(draft, step)
        self.theatre.background.latest(
            "preview",
            lambda: self.session.preview(step),
            lambda preview: self._answered(draft, asked, preview, None),
            lambda error: self._answered(draft, asked, None, refusal_of(error)),
        )

    def _answered(
        self, draft: Draft, asked: int, preview: Preview | None, error: SurgeryError | None
    ) -> None:
        with self.theatre.drawing:
            if draft.asked == asked:  # else the form has other values by now
                draft.settle(preview, error)
                self._draw(draft)
                self.theatre.shown()

    def _narrow(self, draft: Draft, step: Operation) -> None:
        """Finds which choices suit the targets, beside the kernel's thread; until then all are offered."""

        def found(suiting: Mapping[str, Mapping[str, str]]) -> None:
            with self.theatre.drawing:
                if suiting != draft.suiting:
                    draft.suiting = suiting
                    self.theatre.shown()

        if type(step).suiting is not Operation.suiting:
            self.theatre.background.latest(
                "suiting", lambda: self.session.suiting(step), found, lambda _: None
            )

    def _draw(self, draft: Draft) -> None:
        """The chart that helps to choose, beside the kernel's thread; what is refused keeps the last one."""
        if draft.preview is None:
            return
        step = draft.preview.steps[0]

        def drawn(chart: Chart | None) -> None:
            with self.theatre.drawing:
                if chart != draft.chart:
                    draft.chart = chart
                    self.theatre.shown()

        self.theatre.background.latest(
            "chart", lambda: self.session.chart(step), drawn, lambda _: drawn(None)
        )

    def _refused(self, draft: Draft, error: SurgeryError) -> None:
        with self.theatre.drawing:
            draft.settle(None, error)
            self.desk.alert = error
            self.theatre.errands.notice = notice_of(error)
            self.theatre.shown()

    # Moving --------------------------------------------------------------------------------------

    def undo(self) -> None:
        """Back to the state before."""
        self.move(self.session.undo)

    def redo(self) -> None:
        """Forward to the state last undone."""
        self.move(self.session.redo)

    def goto(self, state_id: int) -> None:
        """To any state."""
        self.move(lambda: self.session.goto(state_id))

    def rename(self, message: Message) -> None:
        """What a person calls a state; an empty text takes the name away."""

        def named() -> None:
            self.session.history.state(int(message["id"])).name = str(message.get("name", "")).strip() or None

        self._in_history(named)

    def delete(self, message: Message) -> None:
        """Forgets a state and what was made from it."""
        self._in_history(lambda: self.session.history.delete(int(message["id"])))

    def compare(self, state_id: int | None) -> None:
        """Shows a state beside the current one; None ends it."""
        self.desk.compared = state_id
        self.theatre.shown()

    def swap(self, state_id: int) -> None:
        """Goes to the state that is compared, and compares it with the one before."""
        self.desk.compared = self.session.history.current.id
        self.goto(state_id)

    def _in_history(self, change: Callable[[], object]) -> None:
        """What leaves the current state as it is; a refusal is a notice."""
        self.theatre.carry("Tidying up", change, lambda _: self.theatre.shown(), self._said)

    def move(self, move: Callable[[], object]) -> None:
        """Does what changes the current state; a refusal is a notice."""
        self.theatre.carry("Moving", move, lambda _: self.arrived(), self._said)

    def _said(self, error: Exception) -> None:
        self.theatre.errands.say(notice_of(error))

    def follow(self) -> None:
        """Others have changed the session: what was drafted stays unless the state is another one.

        What was said of a gesture stays too, that a model was saved for one: it was not of theirs.
        """
        if self._state is not self.session.history.current:
            self._left()
        self.theatre.shown()

    def arrived(self) -> None:
        """A gesture has led to another state."""
        self._left()
        self.theatre.errands.notice = None
        self.theatre.shown()

    def _left(self) -> None:
        """Drafts were made for the state before."""
        self._forget()
        self._state = self.session.history.current
        self.desk.draft = self.desk.alert = None

    def _forget(self) -> None:
        """What was asked for the draft counts no longer."""
        for kind in ("preview", "chart", "suiting"):
            self.theatre.background.forget(kind)
