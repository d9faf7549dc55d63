"""The studio: the panels around one session. Every gesture becomes the step that code would make."""

from __future__ import annotations

from threading import RLock
from typing import Any

import ipywidgets

from graph.costs import costs
from graph.paths import SelectorError
from graph.select import select
from surgery.errors import SurgeryError
from surgery.evaluate import Report
from surgery.history import State
from surgery.operation import Operation
from surgery.preview import Preview
from surgery.registry import operations
from surgery.session import Session
from widgets.background import Background
from widgets.charts import SizeChart
from widgets.desk import Desk, Draft
from widgets.errands import Errands, notice_of
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
        self.chart = SizeChart(self._go_to)
        self.errands = Errands(session, self.background, self.refresh, self.refresh_top)
        self.search = ""
        self._drawing = RLock()
        areas = {
            "top": self.top,
            "left": self.left,
            "centre": self.centre,
            "right": self.right,
            "history": self.past,
            "chart": self.chart,
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
            self.chart.draw(points(self.session))
            self.refresh_top()

    def refresh_top(self) -> None:
        """Only the top bar: progress comes often."""
        with self._drawing:
            self.top.state = topbar(self.session, self.errands, begun=bool(self.desk.selection))

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
        self.top.on("evaluate", lambda message: self.errands.evaluate(float(message.get("budget_s", 2.0))))
        self.top.on("stop", lambda _: self.errands.stop())
        self.top.on("undo", lambda _: self._move(self.session.undo))
        self.top.on("redo", lambda _: self._move(self.session.redo))
        self.top.on("dismiss", lambda _: self.errands.say(None))
        self.top.on("save_script", lambda message: self.errands.save("script", str(message.get("path", ""))))
        self.top.on("save_model", lambda message: self.errands.save("model", str(message.get("path", ""))))

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
            self.errands.evaluate(self.errands.budget_s)
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
        self.errands.notice = notice_of(error)
        self.refresh()

    def _arrived(self, _state: State) -> None:
        self.background.forget("preview")
        self.desk.draft = self.desk.alert = self.errands.notice = None
        self.refresh()

    def _move(self, move: Any) -> None:
        try:
            self._arrived(move())
        except SurgeryError as error:
            self.errands.say(notice_of(error))

    def _go_to(self, state_id: int) -> None:
        self._move(lambda: self.session.goto(state_id))


def _area(name: str, panel: ipywidgets.Widget) -> ipywidgets.Box:
    box = ipywidgets.Box([panel])
    box.add_class(f"ms-area-{name}")
    return box


def page(model: str | None = None) -> None:
    """Displays the studio on a model, filling the window; what the web app's kernel runs."""
    from IPython.display import display

    import surgery

    display(Studio(surgery.open(model or "demo"), fills_window=True))  # type: ignore[no-untyped-call]
