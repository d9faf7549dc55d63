"""The studio: the panels around one session. Every gesture becomes the step that code would make."""

from __future__ import annotations

import logging
from pathlib import Path
from threading import RLock
from typing import Any

import ipywidgets

from graph.costs import costs
from graph.paths import SelectorError
from graph.select import select
from surgery.errors import SurgeryError
from surgery.evaluate import Job, Report, Stopped, Worker
from surgery.history import State
from surgery.operation import Operation
from surgery.preview import Preview
from surgery.registry import operations
from surgery.session import Session
from widgets import charts
from widgets.background import Background
from widgets.desk import Desk, Draft
from widgets.figures import report_state
from widgets.forms import change, inspector, start
from widgets.outline import outline
from widgets.panels import (
    CanvasPanel,
    HistoryPanel,
    InspectorPanel,
    Message,
    OutlinePanel,
    ReportPanel,
    TopbarPanel,
)
from widgets.scene import scene
from widgets.timeline import points, timeline
from widgets.topbar import topbar

_log = logging.getLogger(__name__)

KEYS = {"T": "tie", "U": "untie", "M": "merge", "P": "remove", "A": "attach"}


class Studio(ipywidgets.Box):
    """The screen as one widget: display it in a notebook cell, or let `page` fill a window with it."""

    def __init__(self, session: Session, *, fills_window: bool = False) -> None:
        self.session, self.desk, self.background = session, Desk(), Background()
        self.top, self.left, self.centre, self.right = (
            TopbarPanel(),
            OutlinePanel(),
            CanvasPanel(),
            InspectorPanel(),
        )
        self.past, self.report = HistoryPanel(), ReportPanel()
        self.chart_place = ipywidgets.Box()
        self.chart: Any = None
        self.worker: Worker | None = None
        self.job: Job | None = None
        self.busy: dict[str, Any] | None = None
        self.notice: dict[str, Any] | None = None
        self.budget_s = 2.0
        self.search = ""
        self._drawing = RLock()
        areas = {
            "top": self.top,
            "left": self.left,
            "centre": self.centre,
            "right": self.right,
            "history": self.past,
            "chart": self.chart_place,
            "report": self.report,
        }
        super().__init__([_area(name, panel) for name, panel in areas.items()])
        self.add_class("ms-studio").add_class("ms-page" if fills_window else "ms-cell")
        self._wire()
        self.refresh()

    # Drawing ----------------------------------------------------------------------------------

    def refresh(self) -> None:
        """Every panel shows what session and desk are now."""
        with self._drawing, self.session.lock:
            self.desk.keep_known(self.session.graph)
            self.centre.state = scene(self.session, self.desk)
            self.left.state = outline(self.session, self.desk, self.search)
            self.right.state = inspector(self.session, self.desk)
            self.past.state = timeline(self.session)
            self.report.state = report_state(self._report(), self._parameters())
            self._draw_chart()
            self.refresh_top()

    def refresh_top(self) -> None:
        """Only the top bar: progress comes often."""
        with self._drawing:
            self.top.state = topbar(self.session, self.busy, self.notice, self.budget_s)

    def _draw_chart(self) -> None:
        measured = points(self.session)
        if measured and self.chart is None:
            self.chart = charts.size_chart(self._go_to)
            self.chart_place.children = [self.chart]
        if self.chart is not None:
            charts.draw(self.chart, measured)

    def _report(self) -> Report | None:
        return self.session.history.current.report

    def _parameters(self) -> tuple[int, int]:
        base = self.session.history.base.graph or self.session.graph
        return costs(base).parameters, costs(self.session.graph).parameters

    # Gestures -----------------------------------------------------------------------------------

    def _wire(self) -> None:
        for panel in (self.left, self.centre):
            panel.on("select", self._select)
            panel.on("open", self._open)
            panel.on("key", lambda message: self._key(str(message.get("key", ""))))
        self.left.on("search", self._search)
        self.right.on("operation", lambda message: self.draft(str(message.get("name", ""))))
        self.right.on("field", self._field)
        self.right.on("apply", lambda _: self.apply())
        self.right.on("cancel", lambda _: self._drop_draft())
        self.past.on("goto", lambda message: self._go_to(int(message["id"])))
        self.top.on("evaluate", lambda message: self.evaluate(float(message.get("budget_s", self.budget_s))))
        self.top.on("stop", lambda _: self.job.stop() if self.job else None)
        self.top.on("undo", lambda _: self._move(self.session.undo))
        self.top.on("redo", lambda _: self._move(self.session.redo))
        self.top.on("dismiss", lambda _: self._say(None))
        self.top.on("save_script", lambda message: self._save("script", str(message.get("path", ""))))
        self.top.on("save_model", lambda message: self._save("model", str(message.get("path", ""))))

    def _select(self, message: Message) -> None:
        paths = [path for path in message.get("paths", []) if isinstance(path, str)]
        self.desk.select(paths, str(message.get("mode", "set")), self.session.graph)
        self._selection_changed()

    def _selection_changed(self) -> None:
        self.desk.alert = None
        if self.desk.draft is not None:
            self.draft(self.desk.draft.operation)
        else:
            self.refresh()

    def _open(self, message: Message) -> None:
        path = message.get("path")
        graph = self.session.graph
        opens = isinstance(path, str) and path in graph and bool(graph[path].children)
        self.desk.opened = str(path) if opens else None if path is None else self.desk.opened
        self.refresh()

    def _search(self, message: Message) -> None:
        self.search = str(message.get("text", "")).strip()
        try:
            found = select(self.search, self.session.graph) if self.search else ()
        except SelectorError:
            found = ()
        if found:
            self.desk.selection = list(found)
            self._selection_changed()
        else:
            self.refresh()

    def _key(self, key: str) -> None:
        if key in KEYS:
            self.draft(KEYS[key])
        elif key == "E":
            self.evaluate(self.budget_s)
        elif key == "Escape":
            self._drop_draft()
        elif key == "Ctrl-Z":
            self._move(self.session.undo)
        elif key == "Ctrl-Shift-Z":
            self._move(self.session.redo)

    # Operating ----------------------------------------------------------------------------------

    def draft(self, name: str) -> None:
        """Begins the operation on the selection, and its dry run."""
        if name in operations():
            self.desk.draft = start(name, self.session, self.desk.selection)
            self._dry_run(self.desk.draft)

    def _field(self, message: Message) -> None:
        if self.desk.draft is not None:
            change(self.desk.draft, str(message.get("name", "")), message.get("value"))
            self._dry_run(self.desk.draft)

    def _dry_run(self, draft: Draft) -> None:
        draft.waiting = True
        self.refresh()

        def work() -> Preview | SurgeryError:
            try:
                return self.session.preview(draft.step())
            except SurgeryError as error:
                return error

        def done(result: Preview | SurgeryError) -> None:
            if isinstance(result, SurgeryError):
                draft.preview, draft.error = None, result
            else:
                draft.preview, draft.error = result, None
            draft.waiting = False
            self.refresh()

        self.background.latest("preview", work, done)

    def _drop_draft(self) -> None:
        self.background.forget("preview")
        self.desk.draft = self.desk.alert = None
        self.refresh()

    def apply(self, step: Operation | None = None) -> None:
        """Applies the draft (or a step): a refusal is shown at its node and changes nothing."""
        try:
            if step is None and self.desk.draft is None:
                return
            self.background.forget("preview")
            state = self.session.apply(step or self.desk.draft.step())  # type: ignore[union-attr]
        except SurgeryError as error:
            self._refused(error)
            return
        self._arrived(state)

    def _refused(self, error: SurgeryError) -> None:
        if self.desk.draft is not None:
            self.desk.draft.error, self.desk.draft.waiting = error, False
        self.desk.alert = error
        self.notice = _notice(error)
        self.refresh()

    def _arrived(self, _state: State) -> None:
        self.background.forget("preview")
        self.desk.draft = self.desk.alert = self.notice = None
        self.refresh()

    def _move(self, move: Any) -> None:
        try:
            self._arrived(move())
        except SurgeryError as error:
            self._say(_notice(error))

    def _go_to(self, state_id: int) -> None:
        self._move(lambda: self.session.goto(state_id))

    # Measuring and keeping ------------------------------------------------------------------------

    def evaluate(self, budget_s: float) -> None:
        """Starts an evaluation of the current state in the worker's thread; a running one is stopped."""
        self.budget_s = min(max(budget_s, 0.1), 3600.0)
        state = self.session.history.current
        self._busy("Evaluating", 0.0)

        def progress(fraction: float, label: str) -> None:
            if self.busy is not None:
                self._busy(f"Evaluating, {label}", fraction)

        def done(report: Report) -> None:
            state.report, self.busy, self.notice = report, None, None
            self.refresh()

        def failed(error: Exception) -> None:
            self.busy = None
            stopped = isinstance(error, Stopped)
            self._say(
                {"text": "Evaluation stopped.", "tone": "good", "hint": None} if stopped else _notice(error)
            )

        try:
            if self.worker is None:
                self.worker = Worker(self.session.evaluator())
            self.job = self.worker.submit(self.session.model, self.budget_s, progress, done, failed)
        except SurgeryError as error:
            failed(error)

    def _busy(self, label: str, fraction: float) -> None:
        self.busy = {"label": label, "fraction": fraction, "stoppable": True}
        self.refresh_top()

    def _save(self, what: str, path: str) -> None:
        def work() -> dict[str, Any]:
            try:
                if not path.strip():
                    raise SurgeryError("a path is needed to save to")
                script = self.session.script
                place = script.write(path) if what == "script" else self.session.save(path)
                text = f"{what.capitalize()} saved to {place}"
                return {"text": text, "tone": "good", "hint": f"fingerprint {script.result}"}
            except SurgeryError as error:
                return _notice(error)

        def done(notice: dict[str, Any]) -> None:
            self.busy = None
            self._say(notice)

        self.busy = {"label": f"Saving {Path(path).name}", "fraction": None, "stoppable": False}
        self.refresh_top()
        self.background.latest("save", work, done)

    def _say(self, notice: dict[str, Any] | None) -> None:
        self.notice = notice
        self.refresh_top()


def _area(name: str, panel: ipywidgets.Widget) -> ipywidgets.Box:
    box = ipywidgets.Box([panel])
    box.add_class(f"ms-area-{name}")
    return box


def _notice(error: Exception) -> dict[str, Any]:
    if isinstance(error, SurgeryError):
        text = SurgeryError(error.problem, path=error.path, got=error.got, expected=error.expected).sentence()
        return {"text": text, "tone": "bad", "hint": error.hint}
    _log.error("an evaluation failed", exc_info=error)
    return {"text": f"It failed: {error}", "tone": "bad", "hint": None}


def page(model: str | None = None) -> None:
    """Displays the studio on a model, filling the window; what the web app's kernel runs."""
    from IPython.display import display

    import surgery

    display(Studio(surgery.open(model or "demo"), fills_window=True))  # type: ignore[no-untyped-call]
