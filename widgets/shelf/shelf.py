"""The shelf: parents beside the model, and the one step they make. It saves and applies nothing itself."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from graph.naming import selector_of
from graph.nodes import ModuleGraph
from surgery.checkpoint.adapter import Adapter, parent_at
from surgery.checkpoint.tensors import Checkpoint
from surgery.errors import SurgeryError
from surgery.merging.fit import Fit, fit
from surgery.merging.vocabularies import Vocabulary
from surgery.operation import Operation
from surgery.script import python_of
from surgery.session import Session
from widgets.background import Background
from widgets.errands import refusal_of
from widgets.shelf import heat as heats
from widgets.shelf.cards import adopted_adapter, adopted_block
from widgets.shelf.columns import Section, cells, sections
from widgets.shelf.comparing import Comparing
from widgets.shelf.curves import PRESETS, Curve, preset, remainder
from widgets.shelf.method import ADOPT, FIRST, Method, form, offered
from widgets.shelf.row import Row, alias_of, place_of
from widgets.shelf.state import columns_state, kinds_state, problem_state, row_state

_NOTHING_FITS = "no part of the model fits all parents that count"
WHERE = {"all": "the whole model", "blocks": "the blocks", "fit": "where all fit"}


class Shelf:
    """Parents of a session by alias, their weights, and the one step they make together.

    `prepare` is given a step to show with its dry run, `try_out` one to apply and evaluate; `shown` draws the
    shelf, and is called from other threads too. `state` is what it draws.
    """

    def __init__(
        self,
        session: Session,
        background: Background,
        prepare: Callable[[Operation], None],
        try_out: Callable[[Operation], None],
        shown: Callable[[], None],
    ) -> None:
        self.session, self.background, self.shown = session, background, shown
        self.prepare, self.try_out = prepare, try_out
        self.rows: list[Row] = []
        self.own: Curve | None = None
        self.method, self.where = Method(), ""
        self.refused_form: SurgeryError | None = None
        self.problem: SurgeryError | None = None
        self.comparing = Comparing(session, background, shown)
        self._added = 0
        self._lock = threading.RLock()  # never held while `shown` is called, which has a lock of its own
        self._state_id = session.history.current.id
        self._columns: tuple[ModuleGraph | None, tuple[Section, ...]] = (None, ())

    # Parents -----------------------------------------------------------------------------------

    def add(self, source: str, alias: str = "") -> None:
        """A parent comes onto the shelf, and is read beside the kernel's thread."""
        with self._lock:
            try:
                place = place_of(source)
                name = alias_of(alias, place, [row.alias for row in self.rows])
            except SurgeryError as error:
                self.refused_form = error
            else:
                self.refused_form, self.problem = None, None
                self._added += 1
                row = Row(name, place)
                self.rows.append(row)
                self._share()
                self._read(row)
        self.shown()

    def remove(self, alias: str) -> None:
        """A parent leaves the shelf; steps that were made with it stay."""
        with self._lock:
            self.rows = [row for row in self.rows if row.alias != alias]
            self.problem = None
            self._share()
            self._suit_method()
        self.compare(asked=False)
        self.shown()

    @contextmanager
    def changing(self) -> Iterator[None]:
        """Something is set by hand: what was refused before is said no longer, and the shelf is drawn."""
        with self._lock:
            self.problem = None
            yield
        self.shown()

    def reread(self) -> None:
        """Every parent is looked at anew, since the state or what fits has changed."""
        with self._lock:
            for row in self.rows:
                if row.status != "reading":
                    self._read(row)

    def row(self, alias: str) -> Row | None:
        """The parent of this name."""
        return next((row for row in self.rows if row.alias == alias), None)

    def _read(self, row: Row) -> None:
        """Opens what lies at the place of a row, if it was not, and looks at how it fits this state."""

        def opened() -> tuple[Checkpoint | Adapter, Fit]:
            found = row.found or parent_at(row.source)  # may come over the network: without the lock
            with self.session.lock:
                paths = cells(sections(self.session.graph))
                return found, fit(self.session.patient, found, paths, self._vocabulary())

        def done(found: tuple[Checkpoint | Adapter, Fit]) -> None:
            with self._lock:
                row.found, row.fit = found
                row.status, row.error = "ready", None
                self._share()
                self._suit_method()
            self.compare(asked=False)
            self.shown()

        def failed(error: Exception) -> None:
            with self._lock:
                row.status, row.error = "refused", refusal_of(error)
            self.shown()

        # A thread each: what comes over the network keeps no folder waiting.
        self.background.each(f"shelf-{row.alias}", opened, done, failed)

    def _share(self) -> None:
        """Whose weight nobody set shares evenly; adapters, which are added, count wholly."""
        for row in self.rows:
            if not row.weighed:
                row.curve = (1.0,) if row.is_adapter else preset("even", 1 + len(self.rows))

    def own_curve(self) -> Curve:
        """This model's weight: as it was set, else what the parents leave of 1."""
        return self.own or remainder([row.curve for row in self.counted()])

    def _suit_method(self) -> None:
        """Adapters alone are adopted, until somebody chooses otherwise; checkpoints cannot be."""
        known = [row for row in self.rows if row.found is not None]
        alone = bool(known) and all(row.is_adapter for row in known)
        if alone and self.method.name == FIRST and not self.method.values:
            self.method.choose(ADOPT)
        elif not alone and self.method.name == ADOPT and not any(row.is_adapter for row in known):
            self.method.choose(FIRST)

    # Comparing ---------------------------------------------------------------------------------

    def compare(self, *, asked: bool = True) -> None:
        """How far the parents lie from the model; unasked only where little has to be read."""
        with self._lock:
            graph = self.graph
            ready = [row for row in self.rows if row.status == "ready"]
            work = heats.jobs(ready, cells(self.columns_of(graph)))
            key = (self._state_id, tuple((row.alias, row.source) for row in ready), self._vocabulary())
        self.comparing.want(key, graph, work, self._vocabulary(), asked=asked)

    def _vocabulary(self) -> Vocabulary:
        return "matched" if self.method.values.get("vocabulary") == "matched" else "same"

    # The step ----------------------------------------------------------------------------------

    def counted(self) -> list[Row]:
        """The parents that the step has; of a method for adapters, adapters alone."""
        ready = [row for row in self.rows if row.counts and row.status == "ready"]
        return [row for row in ready if row.is_adapter or self.method.name != ADOPT]

    def step(self) -> Operation:
        """The one step that the shelf stands for; SurgeryError where it makes none."""
        with self._lock:
            rows = self.counted()
            if not rows:
                kind = "adapter" if self.method.name == ADOPT else "parent"
                raise SurgeryError(f"the step needs {'an' if kind == 'adapter' else 'a'} {kind} that counts")
            return self.method.step(self._targets(rows), rows, self.own_curve())

    def card(self, card: Any, target: str | None) -> Operation | None:
        """The step for what was dragged from the shelf and dropped at a path; None for another's card.

        SurgeryError where it does not go there.
        """
        kind = card.get("kind") if isinstance(card, dict) else None
        if kind not in ("block", "adapter"):
            return None
        alias = str(card.get("parent" if kind == "block" else "alias", ""))
        row = self.row(alias)
        if row is None:
            raise SurgeryError("there is no parent of this name on the shelf", path=alias)
        if kind == "block":
            return adopted_block(self.session, row, str(card.get("path", "")), target, self._vocabulary())
        return adopted_adapter(row, selector_of([target], self.graph) if target else "")

    def _targets(self, rows: list[Row]) -> str:
        graph = self.graph
        columns = self.columns_of(graph)
        where = self.place(rows, columns)
        if where == "all":
            return ""
        strips = tuple(section for section in columns if section.strip or where != "blocks")
        paths = [path for path in cells(strips) if where != "fit" or all(row.fits(path) for row in rows)]
        if not paths:
            raise SurgeryError(
                f"the model has nothing for {WHERE[where]}" if where != "fit" else _NOTHING_FITS
            )
        return selector_of(paths, graph)

    def place(self, rows: list[Row], columns: tuple[Section, ...]) -> str:
        """As it was chosen; else the whole model where every parent fits it."""
        if self.where:
            return self.where
        whole = all(row.fit is not None and not row.fit.beyond for row in rows)
        return "all" if whole and all(row.fits(path) for row in rows for path in cells(columns)) else "fit"

    # What is shown -----------------------------------------------------------------------------

    def state(self, graph: ModuleGraph) -> dict[str, Any]:
        """The state of protocol.ts; after an edit, parents are looked at anew for the state that it made."""
        with self._lock:
            now = self.session.history.current.id
            if now != self._state_id:
                self._state_id = now
                self.reread()
            columns, rows = self.columns_of(graph), self.counted()
            role = self.method.role(len(rows))
            figures = self.comparing.values()
            try:
                step, problem = (self.step() if self.rows else None), self.problem
            except SurgeryError as error:
                step, problem = None, self.problem or (error if rows else None)
            return {
                "columns": columns_state(columns),
                "rows": [row_state(row, columns, figures.get(row.alias, {})) for row in self.rows],
                "own": list(self.own_curve()) if role.own and self.rows else None,
                "weighted": role.name is not None,
                "over_depth": role.over_depth,
                "method": {
                    "name": self.method.name,
                    "summary": self.method.cls.summary().replace("`", ""),
                    "options": [
                        {"name": cls.name, "title": cls.title}
                        for cls in offered(any(row.is_adapter for row in self.rows))
                    ],
                    "fields": form(self.method, role) if self.rows else [],
                },
                "where": {
                    "name": self.place(rows, columns),
                    "options": [{"name": name, "title": title} for name, title in WHERE.items()],
                },
                "presets": [{"name": name, "title": title} for name, title in PRESETS.items()],
                "heat": self.comparing.state(len([row for row in self.rows if row.status == "ready"])),
                "python": "" if step is None else python_of(step),
                "can_step": step is not None,
                "problem": problem_state(problem),
                "form": {"added": self._added, "error": problem_state(self.refused_form)},
                "kinds": kinds_state(),
            }

    @property
    def graph(self) -> ModuleGraph:
        """The current state's."""
        return self.session.history.current.graph or self.session.graph

    def columns_of(self, graph: ModuleGraph) -> tuple[Section, ...]:
        """The cells of a graph, kept until another is asked about."""
        if self._columns[0] is not graph:
            self._columns = (graph, sections(graph))
        return self._columns[1]
