"""Advisers in the studio: who is asked, what they said of this state, and what can be made of it."""

from __future__ import annotations

from math import isfinite
from typing import Any

from graph.nodes import ModuleGraph
from surgery.advise import Advice, adviser_named, advisers
from surgery.registry import operations
from surgery.scores import Scores
from widgets.drafts import start
from widgets.operating import Operating
from widgets.panels import Message
from widgets.theatre import Theatre

MOST_DRAWN = 96
"""Items that a heat map has on each side; of more the ranking alone is shown."""
BEST = 4
"""Lines of the ranking that are shown."""
MADE = ("remove", "tie")
"""Edits that a line of the ranking can prepare."""
AT_ONCE = ("untie",)
"""Those that change no output, which it makes."""


class Advising:
    """Asks advisers about the session of a studio; what they say is kept with the state it is of."""

    def __init__(self, theatre: Theatre, operating: Operating) -> None:
        self.theatre, self.session, self.operating = theatre, theatre.session, operating
        self.chosen = next(iter(advisers()))

    def choose(self, message: Message) -> None:
        """Shows another adviser; the graph is coloured by what it said, where it was asked already."""
        name = str(message.get("name", ""))
        if name in advisers():
            self.chosen = name
            if name in self.session.history.current.advice:
                self.theatre.desk.colour = f"advice:{name}"
            self.theatre.shown()

    def colour(self, name: str) -> None:
        """Colours the graph by an adviser, who is asked first where it was not asked of this state."""
        if name not in advisers():
            return
        self.chosen, self.theatre.desk.colour = name, f"advice:{name}"
        if name in self.session.history.current.advice:
            self.theatre.shown()
        else:
            self.ask()

    def ask(self) -> None:
        """Asks the chosen one, in place of what is being measured, and colours the graph by the answer."""
        name, errands = self.chosen, self.theatre.errands
        self.theatre.desk.colour = f"advice:{name}"
        errands.measure(
            "advice",
            f"Asking for {adviser_named(name).called()}",
            lambda stop, tell: self.session.advise(
                name, budget_s=errands.budget_s, device=errands.device, progress=tell, stop=stop
            ),
        )

    def act(self, message: Message) -> None:
        """Prepares what a line of the ranking advises, for Apply to make; what changes no output is made."""
        name, graph = str(message.get("operation", "")), self.theatre.graph
        paths = [path for path in message.get("paths", []) if path in graph]
        if name in (*MADE, *AT_ONCE) and name in operations() and paths:
            self.theatre.desk.select(paths, "set", graph)
            self.operating.prepare(start(name, graph, paths))
            if name in AT_ONCE:
                self.operating.apply()

    # Showing it ----------------------------------------------------------------------------------

    def state(self, graph: ModuleGraph) -> dict[str, Any]:
        """The tab's part of the report state of protocol.ts."""
        known, kind = self.session.history.current.advice, adviser_named(self.chosen)
        found = known.get(self.chosen)
        title = kind.called()
        return {
            "advice": {
                "value": self.chosen,
                "choices": [
                    {"name": name, "title": f"{cls.title}{' ✓' if name in known else ''}"}
                    for name, cls in advisers().items()
                ],
                "about": f"{kind.summary().replace('`', '')} {kind.source}.",
                "best": [] if found is None else _best(found, graph),
            },
            "bars": None if found is None or found.matrix is not None else _bars(found, graph),
            "matrix": None if found is None else _matrix(found, graph),
            "empty": f"Not asked yet of this state. It takes {kind.cost}.",
            "note": None if found is None else " ".join([f"{found.grounds}.", *found.notes]),
            "ask": {"what": "advice", "title": "Ask again" if found else f"Ask for {title}"},
        }


def _bars(advice: Advice, graph: ModuleGraph) -> dict[str, Any]:
    """A bar per item, in the order of the tree, in the colours that the graph has for such numbers."""
    known = {place: value for place, value in enumerate(advice.numbers) if isfinite(value)}
    parts = Scores(advice.called, {str(place): value for place, value in known.items()}, advice.text).parts
    return {
        "title": f"{advice.called}, {advice.promise}",
        "bars": [
            {
                "path": item.path if item.path in graph else "",
                "label": item.short,
                "value": value,
                "low": value,
                "high": value,
                "score": parts[str(place)],
                "text": f"{item.text(advice.part)}: {advice.text(value)}",
            }
            for (place, value), item in ((entry, advice.items[entry[0]]) for entry in known.items())
        ],
    }


def _matrix(advice: Advice, graph: ModuleGraph) -> dict[str, Any] | None:
    """The numbers of all pairs; an empty text is none."""
    if advice.matrix is None or len(advice.items) > MOST_DRAWN:
        return None
    known = [line.value for line in advice.ranking]
    return {
        "title": f"{advice.called}, {advice.promise}",
        "items": [
            {
                "label": item.short,
                "text": item.text(advice.part),
                "path": item.path if item.path in graph else "",
            }
            for item in advice.items
        ],
        "rows": [[round(value, 4) if isfinite(value) else "" for value in row] for row in advice.matrix],
        "low": min(known),
        "high": max(known),
        "ends": [advice.text(min(known)), advice.text(max(known))],
    }


def _best(advice: Advice, graph: ModuleGraph) -> list[dict[str, Any]]:
    """The first lines of the ranking, and what each can prepare."""
    found: list[dict[str, Any]] = []
    labels = _labels(advice)
    for line in advice.ranking[:BEST]:
        paths = [path for item in line.items for path in item.paths if path in graph]
        whole = all(item.index is None for item in line.items)
        # Of a tie the further ends get weights of their own, and the first keeps them.
        ends = paths[1:] if advice.edit == "untie" else paths
        makes = advice.edit in (*MADE, *AT_ONCE) and whole and bool(ends)
        tip = (
            "changes no output, and is made at once"
            if advice.edit in AT_ONCE
            else "prepared, for Apply to make"
        )
        found.append(
            {
                "label": " and ".join(labels[place] for place in map(advice.items.index, line.items)),
                "text": " and ".join(item.text(advice.part) for item in line.items),
                "value": advice.text(line.value),
                "paths": paths,
                "act": {
                    "operation": advice.edit,
                    "title": operations()[advice.edit].title,
                    "paths": ends,
                    "tip": tip,
                }
                if makes
                else None,
            }
        )
    return found


def _labels(advice: Advice) -> list[str]:
    """What items are called where there is little room: pairs by their numbers, if these tell them apart."""
    short = [item.short for item in advice.items]
    apart = advice.matrix is not None and len(set(short)) == len(short)
    return short if apart else [item.text(advice.part) for item in advice.items]
