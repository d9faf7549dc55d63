"""The panel of measures: which is shown, and those that are taken when they are asked for."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from graph.costs import costs
from graph.nodes import ModuleGraph
from graph.rollup import rollup
from surgery.errors import SurgeryError
from surgery.evaluate import Report, Stopped
from surgery.evaluate.speed import SpeedReport
from surgery.histograms import Histogram, activations, weights
from surgery.model import private_shell
from widgets.errands import notice_of, refusal_of
from widgets.figures import report_state
from widgets.panels import Message
from widgets.readings import histogram_state, layer_bars, speed_rows, sweep_bars
from widgets.theatre import Theatre
from widgets.timeline import points

TABS = {
    "report": "Evaluation",
    "costs": "Cost of each",
    "layers": "Layers",
    "values": "Values",
    "speed": "Speed",
}
UNASKED = 100_000_000
"""Of so many weights it is asked whether they should be read."""

EMPTY = {
    "costs": "What each block would cost: ask above the graph.",
    "layers": "Where the edited model departs from the original, block by block.",
    "values": "Select one module: how its weights are spread, and what it gives.",
    "speed": "Latency and memory beside the original, measured on this machine.",
}


@dataclass
class Found:
    """What was measured of one state besides its report and sweep; histograms by kind and path."""

    layers: Report | None = None
    speed: SpeedReport | None = None
    histograms: dict[tuple[str, str], Histogram | SurgeryError] = field(default_factory=dict)
    under_way: set[tuple[str, str]] = field(default_factory=set)


class Measuring:
    """The measures of a studio; what belongs to a state is kept with its id."""

    def __init__(self, theatre: Theatre) -> None:
        self.theatre, self.session = theatre, theatre.session
        self.tab = "report"
        self._found: dict[int, Found] = {}

    @property
    def found(self) -> Found:
        """What was measured of the current state."""
        return self._found.setdefault(self.session.history.current.id, Found())

    def show(self, message: Message) -> None:
        """Shows one of the tabs."""
        name = str(message.get("name", ""))
        if name in TABS:
            self.tab = name
            self.theatre.shown()

    def measure(self, message: Message) -> None:
        """Takes the measure that a tab asks for, in place of what is being measured."""
        what = message.get("what")
        if what == "layers":
            self._begin("Comparing layers", self._layers)
        elif what == "speed":
            self._begin("Timing both models", self._speed)
        elif what == "activations":
            self._activations()
        elif what == "weights" and len(self.theatre.desk.selection) == 1:
            self._weights(self.theatre.desk.selection[0])
            self.theatre.shown()

    def points(self) -> list[dict[str, Any]]:
        """The measured states for the chart, with the speed of those that were timed."""
        return [{**point, **_pace(self._found.get(point["id"]))} for point in points(self.session)]

    # Taking them ---------------------------------------------------------------------------------

    def _layers(self, stop: threading.Event, tell: Callable[[float, str], None]) -> None:
        session = self.session
        with session.lock:  # an edit that is being made is waited for
            found, model, origins = self.found, private_shell(session.model), session.origins
        budget_s = self.theatre.errands.budget_s
        found.layers = session.evaluator().evaluate(
            model, budget_s, progress=tell, stop=stop, tasks=["layers"], origins=origins
        )

    def _speed(self, stop: threading.Event, tell: Callable[[float, str], None]) -> None:
        with self.session.lock:
            found, state = self.found, self.session.history.current
        speed = self.session.speed(max(2.0, self.theatre.errands.budget_s), stop=stop)
        if self.session.history.current is state:  # else another model may have been timed
            found.speed = speed

    def _begin(
        self, label: str, work: Callable[[threading.Event, Callable[[float, str], None]], None]
    ) -> None:
        errands, stop = self.theatre.errands, threading.Event()
        number = errands.begin(label, stop.set)

        def failed(error: Exception) -> None:
            if errands.end(number):
                stopped = {"text": f"{label}: stopped.", "tone": "good", "hint": None}
                errands.notice = stopped if isinstance(error, Stopped) else notice_of(error)
            self.theatre.shown()

        def done(_: None) -> None:
            errands.end(number)
            self.theatre.shown()

        self.theatre.background.latest(
            "measure",
            lambda: work(stop, lambda part, said: errands.tell(number, part, f"{label}, {said}")),
            done,
            failed,
        )

    def _weights(self, path: str) -> None:
        self._spread("weights", path, lambda path: weights(self.session, path))

    def _activations(self) -> None:
        chosen = self.theatre.desk.selection
        if len(chosen) == 1:
            self._spread("activations", chosen[0], lambda path: activations(self.session, path))

    def _spread(self, kind: str, path: str, measure: Callable[[str], Histogram]) -> None:
        found, asked = self.found, (kind, path)
        if asked in found.under_way:
            return
        found.under_way = {item for item in found.under_way if item[0] != kind} | {asked}

        def kept(result: Histogram | SurgeryError) -> None:
            found.under_way.discard(asked)
            found.histograms[asked] = result
            self.theatre.shown()

        self.theatre.background.latest(
            f"histogram {kind}", lambda: measure(path), kept, lambda error: kept(refusal_of(error))
        )

    # Showing them --------------------------------------------------------------------------------

    def state(self, graph: ModuleGraph, before: ModuleGraph) -> dict[str, Any]:
        """The report state of protocol.ts."""
        state, found = self.session.history.current, self.found
        shown: dict[str, Any] = {
            "tab": self.tab,
            "tabs": [{"name": name, "title": title} for name, title in TABS.items()],
            "bars": None,
            "histograms": [],
            "ask": None,
        }
        if self.tab == "report":
            parameters = costs(before).parameters, costs(graph).parameters
            return {**shown, **report_state(state.report, parameters)}
        shown |= {"title": TABS[self.tab], "empty": EMPTY[self.tab], "sentence": None, "rows": []}
        shown["note"] = None
        if self.tab == "costs":
            shown["bars"] = sweep_bars(state.sweep, graph)
        elif self.tab == "layers":
            shown["bars"] = layer_bars(found.layers, graph)
            shown["ask"] = _ask("layers", "Compare again" if found.layers else "Compare the layers")
        elif self.tab == "speed":
            shown["rows"] = speed_rows(found.speed)
            shown["ask"] = _ask("speed", "Time again" if found.speed else "Time both models")
            if found.speed is not None:
                shown["note"] = " ".join([f"{found.speed.device}.", *found.speed.notes])
        else:
            self._values(shown, found)
        if shown["bars"] is not None:
            shown["note"] = shown["bars"]["note"]
        if self.session.is_skeleton:
            shown["ask"] = None
        return shown

    def _values(self, shown: dict[str, Any], found: Found) -> None:
        chosen = self.theatre.desk.selection
        if len(chosen) != 1 or self.session.is_skeleton:
            return
        path = chosen[0]
        large = rollup(self.theatre.graph)[path].parameters > UNASKED
        if ("weights", path) not in found.histograms and not large:
            self._weights(path)
        titles = {"weights": f"Weights of {path or 'the model'}", "activations": f"What {path} gives"}
        for kind, title in titles.items():
            result = found.histograms.get((kind, path))
            if isinstance(result, SurgeryError):
                shown["sentence"] = result.sentence(with_hint=True)
            elif result is not None:
                shown["histograms"].append(histogram_state(title, result))
        if large and ("weights", path) not in found.histograms:
            under_way = ("weights", path) in found.under_way
            shown["ask"] = None if under_way else _ask("weights", "Read all of its weights")
            shown["sentence"] = "Reading …" if under_way else None
        elif ("activations", path) not in found.histograms and path:
            shown["ask"] = _ask("activations", "Show what it gives")
        shown["empty"] = None


def _ask(what: str, title: str) -> dict[str, str]:
    return {"what": what, "title": title}


def _pace(found: Found | None) -> dict[str, float]:
    """Seconds and bytes of a state that was timed."""
    if found is None or found.speed is None:
        return {}
    last = found.speed.paces[-1]
    return {"latency_ms": 1000 * last.after_s / last.items, "peak_bytes": found.speed.peak_bytes[1]}
