"""The studio: the panels around one session. Every gesture becomes the step that code would make."""

from __future__ import annotations

from collections.abc import Callable
from threading import RLock

import ipywidgets

from graph.costs import costs
from graph.nodes import ModuleGraph
from surgery.errors import SurgeryError
from surgery.evaluate.bench import Asked
from surgery.evaluate.sweep import paths_of
from surgery.preview import Preview
from surgery.registry import operations
from surgery.session import Session
from widgets.background import Background
from widgets.charts import SizeChart
from widgets.desk import Desk, Draft
from widgets.errands import Errands, notice_of, refusal_of
from widgets.figures import report_state
from widgets.forms import change, inspector, start
from widgets.opening import refusal_card
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
from widgets.scene import scene, strips
from widgets.search import find
from widgets.sweeps import Sweeps, draft_of
from widgets.timeline import points, timeline
from widgets.topbar import topbar

KEYS = {"T": "tie", "U": "untie", "M": "merge", "P": "remove", "A": "attach"}


class Studio(ipywidgets.Box):
    """The screen as one widget: display it in a notebook cell, or let `page` fill a window with it."""

    def __init__(self, session: Session, *, fills_window: bool = False, tasks: Asked = None) -> None:
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
        self.errands.tasks = tasks
        self.sweeps = Sweeps(session, self.background, self.errands, self.refresh)
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
        if problem := self.graph.problem:
            said = f"{problem.path or '(root)'}: the forward fails: {problem.message}"
            self.errands.notice = {"text": said, "tone": "bad", "hint": session.note}
        elif session.note:
            self.errands.notice = {"text": session.note, "tone": "note", "hint": None}
        self._wire()
        self.refresh()

    # Drawing ----------------------------------------------------------------------------------

    @property
    def graph(self) -> ModuleGraph:
        """The current state's graph; it waits for the session's lock only where it was never traced."""
        state = self.session.history.current
        known = state.graph if state.tracing is self.session.tracing else None
        return known or self.session.graph

    def refresh(self) -> None:
        """Every panel shows what session and desk are now.

        Without the session's lock: a preview, a save or a fingerprint in another thread may hold it long.
        """
        with self._drawing:
            graph, report = self.graph, self.session.history.current.report
            before = self.session.history.base.graph or graph
            self.desk.keep_known(graph)
            drawn = scene(graph, self.desk, self.session.history.current.sweep)
            self.centre.state = {**drawn, "ask": self.sweeps.asked(graph)}
            self.left.state = outline(graph, self.desk)
            self.right.state = inspector(graph, self.desk)
            self.past.state = timeline(self.session)
            self.report.state = report_state(report, (costs(before).parameters, costs(graph).parameters))
            self.refresh_top()
            self.chart.draw(points(self.session))  # last: the first one loads plotly, which takes a while

    def refresh_top(self) -> None:
        """Only the top bar: progress comes often."""
        with self._drawing:
            begun = bool(self.desk.selection or self.desk.opened)
            self.top.state = topbar(self.session, self.graph, self.errands, begun=begun)

    # Gestures -----------------------------------------------------------------------------------

    def _wire(self) -> None:
        for panel in (self.left, self.centre):
            panel.on("select", self._select)
            panel.on("open", self._open)
            panel.on("key", lambda message: self._key(str(message.get("key", ""))))
        self.centre.on("sweep", self._sweep)
        self.centre.on("take_best", lambda _: self._take_best())
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
        self.top.on("save_script", lambda message: self.errands.save_script(str(message.get("path", ""))))
        self.top.on("save_model", self._save_model)

    def _select(self, message: Message) -> None:
        paths = [path for path in message.get("paths", []) if isinstance(path, str)]
        self.desk.select(paths, str(message.get("mode", "set")), self.graph)
        self._selection_changed()

    def _selection_changed(self) -> None:
        self.desk.alert = None
        if self.desk.draft is not None:
            self.draft(self.desk.draft.operation)
        else:
            self.refresh()

    def _open(self, message: Message) -> None:
        path = message.get("path")
        graph = self.graph
        if path is None or path in strips(graph):  # the overview shows a strip's blocks already
            self.desk.opened = None
        elif path in graph and graph[path].children:
            self.desk.opened = path
        self.refresh()

    def _sweep(self, message: Message) -> None:
        operation, budget_s = str(message.get("operation", "")), float(message.get("budget_s", 10.0))
        self.sweeps.start(operation, budget_s, self.graph)

    def _take_best(self) -> None:
        """The best step of the sweep becomes the draft, with its dry run: nothing is applied yet."""
        best = self.sweeps.best()
        if best is not None:
            self.desk.select(list(paths_of(best)), "set", self.graph)
            self.desk.draft, self.desk.alert = draft_of(best), None
            self._dry_run(self.desk.draft)

    def _search(self, message: Message) -> None:
        """Typing shows what matches; only `submit` (Enter) selects it."""
        self.desk.search = str(message.get("text", "")).strip()
        found = find(self.desk.search, self.graph).paths
        if message.get("submit") is True and found:
            self.desk.selection = list(found)
            self._selection_changed()
        else:
            self.refresh()

    def _save_model(self, message: Message) -> None:
        overwrite = message.get("overwrite") is True
        self.errands.save_model(str(message.get("path", "")), overwrite=overwrite)

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
        """Begins the operation on the selection, and its dry run; typed values outlive a new selection."""
        if name in operations():
            self.desk.draft = start(name, self.graph, self.desk.selection, before=self.desk.draft)
            self._dry_run(self.desk.draft)

    def _field(self, message: Message) -> None:
        if self.desk.draft is not None:
            change(self.desk.draft, str(message.get("name", "")), message.get("value"))
            self._dry_run(self.desk.draft)

    def _dry_run(self, draft: Draft) -> None:
        with self._drawing:
            asked = draft.ask()
        try:
            step = draft.step()
        except SurgeryError as error:
            self._answered(draft, asked, None, error)
            return
        self.refresh()
        self.background.latest(
            "preview",
            lambda: self.session.preview(step),
            lambda preview: self._answered(draft, asked, preview, None),
            lambda error: self._answered(draft, asked, None, refusal_of(error)),
        )

    def _answered(
        self, draft: Draft, asked: int, preview: Preview | None, error: SurgeryError | None
    ) -> None:
        with self._drawing:
            if draft.asked == asked:  # else the form has other values by now
                draft.settle(preview, error)
                self.refresh()

    def _drop_draft(self) -> None:
        self.background.forget("preview")
        self.desk.draft = self.desk.alert = None
        self.refresh()

    def apply(self) -> None:
        """Applies the draft: a refusal is shown at its node and changes nothing."""
        draft = self.desk.draft
        if draft is None:
            return
        self.background.forget("preview")
        try:
            self.session.apply(draft.step())
        except Exception as error:
            self._refused(draft, refusal_of(error))
        else:
            self._arrived()

    def _refused(self, draft: Draft, error: SurgeryError) -> None:
        with self._drawing:
            draft.settle(None, error)
            self.desk.alert = error
            self.errands.notice = notice_of(error)
            self.refresh()

    def _arrived(self) -> None:
        self.background.forget("preview")
        self.desk.draft = self.desk.alert = self.errands.notice = None
        self.refresh()

    def _move(self, move: Callable[[], object]) -> None:
        try:
            move()
        except SurgeryError as error:
            self.errands.say(notice_of(error))
        else:
            self._arrived()

    def _go_to(self, state_id: int) -> None:
        self._move(lambda: self.session.goto(state_id))


def _area(name: str, panel: ipywidgets.Widget) -> ipywidgets.Box:
    box = ipywidgets.Box([panel])
    box.add_class(f"ms-area-{name}")
    return box


def page(model: str | None = None) -> None:
    """Displays the studio on a model, filling the window; what the web app's kernel runs.

    A model that cannot be opened is said on the page, with the way out.
    """
    from IPython.display import display

    import surgery

    try:
        shown: ipywidgets.Widget = Studio(surgery.open(model or "demo"), fills_window=True)
    except SurgeryError as error:
        shown = refusal_card(error)
    display(shown)  # type: ignore[no-untyped-call]
