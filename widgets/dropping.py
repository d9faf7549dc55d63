"""What is dropped on the graph: a module on another one, a card of the shelf, the loose end of a tie."""

from __future__ import annotations

from typing import Any

from surgery.errors import SurgeryError
from widgets.desk import Draft
from widgets.drafts import start
from widgets.errands import notice_of
from widgets.fitting import reasons
from widgets.operating import Operating
from widgets.panels import Message
from widgets.shelf import Shelf
from widgets.theatre import Theatre


class Dropping:
    """Drops on the graph of a studio: each prepares a step, and nothing is made before Apply."""

    def __init__(self, theatre: Theatre, operating: Operating, shelf: Shelf) -> None:
        self.theatre, self.operating, self.shelf = theatre, operating, shelf

    def drop(self, message: Message) -> None:
        """Modules on another one: all are selected, that one first; the menu there offers what fits."""
        graph, target = self.theatre.graph, str(message.get("target", ""))
        dragged = [path for path in message.get("sources", []) if path in graph and path != target]
        if dragged and target in graph:
            self.theatre.desk.select([target, *dragged], "set", graph)
            self.operating.selected()

    def untie(self, message: Message) -> None:
        """The end of a tie was pulled off: that module gets parameters of its own."""
        graph = self.theatre.graph
        paths = [path for path in message.get("paths", []) if path in graph]
        if paths:
            self.theatre.desk.select(paths, "set", graph)
            self.operating.prepare(start("untie", graph, paths))

    def card(self, message: Message) -> None:
        """A card on a module: a parent's block or adapter of the shelf, or a kind of adapter to attach."""
        graph, target = self.theatre.graph, str(message.get("target", ""))
        card: Any = message.get("card")
        if not isinstance(card, dict) or target not in graph:
            return
        try:
            if card.get("kind") == "operation":
                self._operation(card, target)
                return
            step = self.shelf.card(card, target)
        except SurgeryError as error:
            self.theatre.errands.say(notice_of(error))
        else:
            if step is not None:
                self.operating.prepare(step)

    def take(self, message: Message) -> None:
        """A card that was pressed instead of dragged: it goes where the selection is."""
        chosen = self.theatre.desk.selection
        if len(chosen) == 1:
            self.card({**message, "target": chosen[0]})
        else:
            problem = SurgeryError("a card needs one place", got=f"{len(chosen)} selected", hint="select it")
            self.theatre.errands.say(notice_of(problem))

    def _operation(self, card: dict[str, Any], target: str) -> None:
        """A card that is an operation with some values, such as `attach` with a rank."""
        graph, name = self.theatre.graph, str(card.get("name", ""))
        self.theatre.desk.select([target], "set", graph)
        why = reasons(graph, [target]).get(name, "there is no such operation")
        if why is not None:
            raise SurgeryError(why, path=target)
        draft = start(name, graph, [target])
        values = card.get("values")
        self.operating.prepare(Draft(name, {**draft.values, **(values if isinstance(values, dict) else {})}))
