"""The panel of measures: which is shown, and those that are taken when they are asked for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from graph.costs import costs
from graph.nodes import ModuleGraph
from graph.rollup import rollup
from surgery.errors import SurgeryError
from surgery.histograms import Histogram, activations, weights
from surgery.history import State
from surgery.session import Session
from widgets.advising import Advising
from widgets.budgeting import Budgeting
from widgets.errands import refusal_of
from widgets.figures import report_state
from widgets.panels import Message
from widgets.readings import histogram_state, layer_bars, speed_rows, sweep_bars
from widgets.theatre import Theatre

TABS = {
    "report": "Evaluation",
    "costs": "Costs",
    "budget": "Budget",
    "layers": "Layers",
    "values": "Values",
    "speed": "Speed",
    "advice": "Advice",
}
SPREADS: dict[str, Callable[[Session, str], Histogram]] = {"weights": weights, "activations": activations}
"""What the tab of values shows of the selected module."""

Spread = tuple[int, str, str]
"""Of which state, what, and of which path."""

LEAST_TIMED_S = 2.0
UNASKED = 100_000_000
"""Of so many weights it is asked whether they should be read."""

EMPTY = {
    "costs": "What each block would cost: ask above the graph.",
    "budget": "Ask above the graph what each block would cost: then choose here how much to save.",
    "layers": "Where the edited model departs from the original, block by block.",
    "values": "Select one module: how its weights are spread, and what it gives.",
    "speed": "Latency and memory beside the original, measured on this machine.",
}


class Measuring:
    """The measures of a studio. What is found of a state is the state's; histograms are kept here."""

    def __init__(self, theatre: Theatre, advising: Advising, budgeting: Budgeting) -> None:
        self.theatre, self.session = theatre, theatre.session
        self.advising, self.budgeting = advising, budgeting
        self.tab = "report"
        self._spreads: dict[Spread, Histogram | SurgeryError] = {}
        self._under_way: dict[str, Spread] = {}

    def show(self, message: Message) -> None:
        """Shows one of the tabs."""
        name = str(message.get("name", ""))
        if name in TABS:
            self.tab = name
            self.theatre.shown()

    def measure(self, message: Message) -> None:
        """Takes the measure that a tab asks for, in place of what is being measured."""
        what = message.get("what")
        budget_s, errands = self.theatre.errands.budget_s, self.theatre.errands
        if what == "layers":
            errands.measure(
                "layers",
                "Comparing layers",
                lambda stop, tell: self.session.layers(
                    budget_s, device=errands.device, progress=tell, stop=stop
                ),
            )
        elif what == "speed":
            errands.measure(
                "speed",
                "Timing both models",
                lambda stop, _: self.session.speed(max(LEAST_TIMED_S, budget_s), errands.device, stop=stop),
            )
        elif what == "advice":
            self.advising.ask()
        elif what in SPREADS and len(self.theatre.desk.selection) == 1:
            self._spread(what, self.theatre.desk.selection[0])
            self.theatre.shown()

    def _spread(self, kind: str, path: str) -> None:
        """How something is spread, beside the kernel's thread; of a kind only what was asked last counts."""
        state = self.session.history.current
        asked = (state.id, kind, path)
        if self._under_way.get(kind) == asked:
            return
        self._under_way[kind] = asked

        def kept(result: Histogram | SurgeryError) -> None:
            self._under_way.pop(kind, None)
            if self.session.history.current is state:  # else it may be of the state that came
                self._spreads[asked] = result
            self.theatre.shown()

        self.theatre.background.latest(
            f"histogram {kind}",
            lambda: SPREADS[kind](self.session, path),
            kept,
            lambda error: kept(refusal_of(error)),
        )

    # Showing them --------------------------------------------------------------------------------

    def state(self, graph: ModuleGraph, before: ModuleGraph) -> dict[str, Any]:
        """The report state of protocol.ts."""
        state = self.session.history.current
        shown: dict[str, Any] = {
            "tab": self.tab,
            "tabs": [{"name": name, "title": title} for name, title in TABS.items()],
            "bars": None,
            "matrix": None,
            "advice": None,
            "histograms": [],
            "ask": None,
        }
        if self.tab == "report":
            parameters = costs(before).parameters, costs(graph).parameters
            return {**shown, **report_state(state.report, parameters)}
        shown |= {"title": TABS[self.tab], "empty": EMPTY.get(self.tab), "sentence": None, "rows": []}
        shown["note"] = None
        if self.tab == "costs":
            shown["bars"] = sweep_bars(state.sweep, graph)
        elif self.tab == "budget":
            shown |= self.budgeting.state(graph)
        elif self.tab == "layers":
            shown["bars"] = layer_bars(state.layers, graph)
            shown["ask"] = _ask("layers", "Compare again" if state.layers else "Compare the layers")
        elif self.tab == "speed":
            shown["rows"] = speed_rows(state.speed)
            shown["ask"] = _ask("speed", "Time again" if state.speed else "Time both models")
            if state.speed is not None:
                shown["note"] = " ".join([f"{state.speed.device}.", *state.speed.notes])
        elif self.tab == "advice":
            shown |= self.advising.state(graph)
        else:
            self._values(shown, state)
        if shown["bars"] is not None and self.tab != "advice":
            shown["note"] = shown["bars"]["note"]
        if self.session.is_skeleton:
            shown["ask"] = None
        return shown

    def _values(self, shown: dict[str, Any], state: State) -> None:
        chosen = self.theatre.desk.selection
        if len(chosen) != 1 or self.session.is_skeleton:
            return
        path = chosen[0]
        found = {kind: self._spreads.get((state.id, kind, path)) for kind in SPREADS}
        large = rollup(self.theatre.graph)[path].parameters > UNASKED
        if found["weights"] is None and not large:
            self._spread("weights", path)
        titles = {"weights": f"Weights of {path or 'the model'}", "activations": f"What {path} gives"}
        for kind, result in found.items():
            if isinstance(result, SurgeryError):
                shown["sentence"] = result.sentence(with_hint=True)
            elif result is not None:
                shown["histograms"].append(histogram_state(titles[kind], result))
        if large and found["weights"] is None:
            under_way = self._under_way.get("weights") == (state.id, "weights", path)
            shown["ask"] = None if under_way else _ask("weights", "Read all of its weights")
            shown["sentence"] = "Reading …" if under_way else None
        elif found["activations"] is None and path:
            shown["ask"] = _ask("activations", "Show what it gives")
        shown["empty"] = None


def _ask(what: str, title: str) -> dict[str, str]:
    return {"what": what, "title": title}
