"""The studio: the panels around one session. Every gesture becomes the step that code would make."""

from __future__ import annotations

from weakref import WeakSet

import ipywidgets

from graph.nodes import ModuleGraph
from surgery.evaluate.bench import Asked
from surgery.session import Session
from widgets.advising import Advising
from widgets.budgeting import Budgeting
from widgets.charts import SizeChart
from widgets.commands import Commands, menu
from widgets.comparing import comparison
from widgets.dropping import Dropping
from widgets.filing import Filing
from widgets.inspector import inspector
from widgets.measuring import Measuring
from widgets.operating import Operating
from widgets.outline import outline, rows
from widgets.panels import (
    CanvasPanel,
    ComparePanel,
    FilesPanel,
    HistoryPanel,
    InspectorPanel,
    MenuPanel,
    OutlinePanel,
    Panel,
    PromptPanel,
    ReportPanel,
    ShelfPanel,
    TopbarPanel,
)
from widgets.pending import Pending
from widgets.prompting import Prompting
from widgets.recovery import Recovery
from widgets.saving import Saving
from widgets.scene import scene
from widgets.selecting import Selecting
from widgets.shelf import Shelf, wire
from widgets.sweeps import Sweeps
from widgets.theatre import Theatre
from widgets.timeline import points, timeline
from widgets.topbar import topbar

STUDIOS: WeakSet[Studio] = WeakSet()
"""Those of this process: who opens one finds here what is open already."""


class Studio(ipywidgets.Box):
    """The screen as one widget: display it in a notebook cell, or let it fill a window."""

    def __init__(self, session: Session, *, fills_window: bool = False, tasks: Asked = None) -> None:
        self.top, self.left, self.centre, self.right = (
            TopbarPanel(),
            OutlinePanel(),
            CanvasPanel(),
            InspectorPanel(),
        )
        self.past, self.report, self.menu = HistoryPanel(), ReportPanel(), MenuPanel()
        self.beside, self.files, self.parents = ComparePanel(), FilesPanel(), ShelfPanel()
        self.bench = PromptPanel()
        self.chart = SizeChart(self._go_to)
        areas: dict[str, ipywidgets.Widget] = {
            "top": self.top,
            "left": self.left,
            "centre": self.centre,
            "shelf": self.parents,
            "right": self.right,
            "history": self.past,
            "chart": self.chart,
            "report": self.report,
            "compare": self.beside,
            "prompt": self.bench,
            "files": self.files,
            "menu": self.menu,
        }
        super().__init__([_area(name, panel) for name, panel in areas.items()])
        self._panels = [panel for panel in areas.values() if isinstance(panel, Panel)]
        self.add_class("ms-studio").add_class("ms-page" if fills_window else "ms-cell")
        self.begin(session, tasks=tasks)
        STUDIOS.add(self)

    def begin(self, session: Session, *, tasks: Asked = None) -> None:
        """Puts a session under the studio's hands, in place of one that was there before."""
        problem, note = session.graph.problem, session.note  # traced before anything is replaced
        theatre = Theatre(session, self.refresh, self.refresh_top, self.follow)
        before: Theatre | None = getattr(self, "theatre", None)
        theatre.errands.tasks = tasks
        if before is not None:
            theatre.errands.budget_s, theatre.errands.device = before.errands.budget_s, before.errands.device
        operating, recovery = Operating(theatre), Recovery(theatre)
        shelf = Shelf(session, theatre.background, operating.prepare, operating.try_out, self._show_shelf)
        if problem:
            said = f"{problem.path or '(root)'}: the forward fails: {problem.message}"
            theatre.errands.notice = {"text": said, "tone": "bad", "hint": note}
        elif note:
            theatre.errands.notice = {"text": note, "tone": "note", "hint": None}
        if before is not None:
            before.leave()
        with theatre.drawing:  # whoever draws meanwhile waits until all of it is there
            self.theatre, self.operating, self.recovery, self.shelf = theatre, operating, recovery, shelf
            self.session, self.desk, self.background = session, theatre.desk, theatre.background
            self.errands = theatre.errands
            self.pending = Pending(theatre, operating)
            self.selecting = Selecting(theatre, operating.selected)
            self.sweeps = Sweeps(session, theatre.errands)
            self.advising = Advising(theatre, operating)
            self.budgeting = Budgeting(theatre, operating)
            self.measuring = Measuring(theatre, self.advising, self.budgeting)
            self.prompting = Prompting(theatre, self.bench)
            self.dropping = Dropping(theatre, operating, shelf)
            self.filing = Filing(theatre, self.begin)
            self.saving = Saving(theatre)
            self.commands = Commands(self)
            self._wire()
            self.chart.clear()
            self.refresh()
        recovery.look()

    def close(self) -> None:
        """Takes the studio off the screen; the session stays as it is."""
        self.theatre.leave()
        super().close()

    # Drawing ----------------------------------------------------------------------------------

    @property
    def graph(self) -> ModuleGraph:
        """The current state's graph."""
        return self.theatre.graph

    def refresh(self) -> None:
        """Every panel shows what session and desk are now.

        Without the session's lock: a preview, a save or a fingerprint in another thread may hold it long.
        """
        with self.theatre.drawing:
            graph = self.graph
            before = self.session.history.base.graph or graph
            drawn = scene(graph, self.desk, self.session.history.current)
            self.centre.state = {**drawn, "ask": self.sweeps.asked(graph)}
            self.left.lasting, self.left.state = rows(graph, self.desk), outline(graph, self.desk)
            self.right.state = inspector(graph, self.desk)
            self._show_shelf()
            self.menu.state = menu(graph, self.desk, self.session)
            self.past.state = timeline(self.session)
            self.files.state = self.filing.state()
            self.beside.state = {"shown": comparison(self.session, self.desk.compared)}
            self.report.state = self.measuring.state(graph, before)
            self.prompting.show()
            self.refresh_top()
            self.recovery.keep()
            self.pending.follow(graph)
            self.chart.draw(points(self.session))  # last: the first one loads plotly, which takes a while

    def follow(self) -> None:
        """Code in a cell, or another studio, has changed the session."""
        with self.theatre.drawing:
            self.operating.follow()

    def _show_shelf(self) -> None:
        with self.theatre.drawing:
            opened = self.desk.shelf or bool(self.shelf.rows)
            self.parents.state = self.shelf.state(self.graph) if opened else {"hidden": True}

    def refresh_top(self) -> None:
        """Only the top bar: progress comes often."""
        with self.theatre.drawing:
            begun = bool(self.desk.selection or self.desk.opened)
            self.top.state = topbar(
                self.session,
                self.graph,
                self.errands,
                begun=begun,
                left=self.recovery.offered(),
                shelf=self.desk.shelf or bool(self.shelf.rows),
                bench=self.prompting.is_open,
            )

    # Gestures -----------------------------------------------------------------------------------

    def _wire(self) -> None:
        """Whose each message is, and who says so where its handler fails."""
        for panel in self._panels:
            panel.failed = self._failed
        wire(self.shelf, self.parents)
        self.prompting.wire()
        selecting, operating, pending, errands = self.selecting, self.operating, self.pending, self.errands
        for panel in (self.left, self.centre, self.menu, self.top):
            panel.on("select", selecting.select)
            panel.on("open", selecting.open)
            panel.on("key", lambda message: self.commands.key(str(message.get("key", ""))))
            panel.on("run", lambda message: self.commands.run(str(message.get("name", ""))))
        self.centre.on("card", self.dropping.card)
        self.parents.on("take", self.dropping.take)
        self.centre.on("drop", self.dropping.drop)
        self.centre.on("untie", self.dropping.untie)
        self.centre.on("sweep", self.sweeps.ask)
        self.centre.on("take_best", lambda _: self._take_best())
        self.left.on("search", selecting.search)
        self.left.on("keep", selecting.keep)
        self.left.on("recall", selecting.recall)
        self.left.on("forget", selecting.forget)
        self.right.on("operation", lambda message: operating.draft(str(message.get("name", ""))))
        self.right.on("field", operating.field)
        self.right.on("apply", lambda _: operating.apply())
        self.right.on("cancel", lambda _: operating.drop())
        self.right.on("pend", lambda _: pending.add())
        self.right.on("pending_drop", pending.drop)
        self.right.on("pending_move", pending.move)
        self.right.on("pending_edit", pending.edit)
        self.right.on("pending_apply", pending.apply)
        self.report.on("tab", self.measuring.show)
        self.report.on("measure", self.measuring.measure)
        self.report.on("select", selecting.select)
        self.budgeting.wire(self.report)
        self.report.on("adviser", self.advising.choose)
        self.report.on("act", self.advising.act)
        self.past.on("goto", lambda message: operating.goto(int(message["id"])))
        self.past.on("rename", operating.rename)
        self.past.on("delete", operating.delete)
        self.past.on("compare", lambda message: operating.compare(int(message["id"])))
        self.beside.on("swap", lambda message: operating.swap(int(message["id"])))
        self.beside.on("close", lambda _: operating.compare(None))
        self.beside.on("select", selecting.select)
        self.top.on("evaluate", lambda message: errands.evaluate(float(message.get("budget_s", 2.0))))
        self.top.on("stop", lambda _: errands.stop())
        self.top.on("undo", lambda _: operating.undo())
        self.top.on("redo", lambda _: operating.redo())
        self.top.on("dismiss", lambda _: errands.say(None))
        self.top.on("restore", self.recovery.answer)
        self.top.on("browse", self.filing.browse)
        self.files.on("browse", self.filing.browse)
        self.files.on("open", self.filing.open)
        self.files.on("close", lambda _: self.filing.close())
        self.top.on("save_script", self.saving.script)
        self.top.on("save_model", self.saving.model)
        self.top.on("save_report", self.saving.report)
        self.top.on("save_picture", self.saving.picture)

    def _failed(self, sentence: str) -> None:
        self.errands.say({"text": sentence, "tone": "bad", "hint": None})

    def _go_to(self, state_id: int) -> None:
        self.operating.goto(state_id)

    def _take_best(self) -> None:
        """The best step of the sweep becomes the draft, with its dry run: nothing is applied yet."""
        best = self.sweeps.best()
        if best is not None:
            self.selecting.of_step(best)
            self.operating.prepare(best)


def _area(name: str, panel: ipywidgets.Widget) -> ipywidgets.Box:
    box = ipywidgets.Box([panel])
    box.add_class(f"ms-area-{name}")
    return box
