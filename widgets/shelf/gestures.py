"""What a person does on the shelf, as its panel sends it."""

from __future__ import annotations

import math
from collections.abc import Callable

from surgery.errors import SurgeryError
from surgery.operation import Operation
from widgets.panels import Message, Panel
from widgets.shelf.curves import PRESETS, Curve, preset, read, with_value
from widgets.shelf.heat import FIGURES
from widgets.shelf.method import offered
from widgets.shelf.shelf import WHERE, Shelf


def wire(shelf: Shelf, panel: Panel) -> None:
    """The panel's messages reach the shelf."""
    gestures = Gestures(shelf)
    panel.on("add", lambda message: shelf.add(_text(message, "source"), _text(message, "alias")))
    panel.on("remove", lambda message: shelf.remove(_text(message, "alias")))
    panel.on("counts", gestures.count)
    panel.on("weight", gestures.weigh)
    panel.on("weight_at", gestures.weigh_at)
    panel.on("preset", gestures.preset)
    panel.on("method", gestures.method)
    panel.on("field", gestures.field)
    panel.on("where", gestures.where)
    panel.on("figure", gestures.figure)
    panel.on("compare", lambda _: shelf.compare())
    panel.on("stop", lambda _: shelf.comparing.stop())
    panel.on("prepare", lambda _: gestures.hand(shelf.step, shelf.prepare))
    panel.on("try", lambda _: gestures.hand(shelf.step, shelf.try_out))
    panel.on("adopt", gestures.adopt)


class Gestures:
    """Each gesture by its message; what does not fit is left out."""

    def __init__(self, shelf: Shelf) -> None:
        self.shelf = shelf

    def count(self, message: Message) -> None:
        """Whether a parent is part of the step."""
        row = self.shelf.row(_text(message, "alias"))
        if row is not None:
            with self.shelf.changing():
                row.counts = message.get("on") is True

    def weigh(self, message: Message) -> None:
        """A row's weight: a number, or anchors over depth."""
        curve = read(message.get("values"))
        if curve is not None:
            self._set(_text(message, "alias"), lambda _: curve)

    def weigh_at(self, message: Message) -> None:
        """A weight at one block; the curve has an anchor per block then."""
        value, path = message.get("value"), _text(message, "path")
        sections = self.shelf.columns_of(self.shelf.graph)
        section = next((item for item in sections if path in item.paths), None)
        if section is None or isinstance(value, bool) or not isinstance(value, int | float):
            return
        if math.isfinite(value):
            self._set(_text(message, "alias"), lambda curve: with_value(curve, section, path, float(value)))

    def preset(self, message: Message) -> None:
        """A known curve for a row; where it alone is to be taken, the others weigh nothing."""
        alias, name = _text(message, "alias"), _text(message, "name")
        if name not in PRESETS:
            return
        self._set(alias, lambda _: preset(name, 1 + len(self.shelf.counted())))
        if name == "whole":
            with self.shelf.changing():
                for row in self.shelf.rows:
                    if row.alias != alias:
                        row.curve, row.weighed = (0.0,), True
                if alias:
                    self.shelf.own = (0.0,)

    def method(self, message: Message) -> None:
        """Another operation."""
        name = _text(message, "name")
        if name in [cls.name for cls in offered(adapters=True)]:
            with self.shelf.changing():
                self.shelf.method.choose(name)

    def field(self, message: Message) -> None:
        """A field of the operation; another rule for rows of tokens changes what fits."""
        name = _text(message, "name")
        with self.shelf.changing():
            self.shelf.method.set(name, message.get("value"))
        if name == "vocabulary":
            self.shelf.reread()

    def where(self, message: Message) -> None:
        """The part of the model that is merged."""
        if (name := _text(message, "name")) in WHERE:
            with self.shelf.changing():
                self.shelf.where = name

    def figure(self, message: Message) -> None:
        """What the cells' colours say."""
        if (name := _text(message, "name")) in FIGURES:
            with self.shelf.changing():
                self.shelf.comparing.figure = name

    def adopt(self, message: Message) -> None:
        """A parent's block, or an adapter where `path` is empty, as the step that dragging it would make."""
        alias, path = _text(message, "alias"), _text(message, "path")
        block = {"kind": "block", "parent": alias, "path": path}
        card = block if path else {"kind": "adapter", "alias": alias}
        self.hand(lambda: self.shelf.card(card, None), self.shelf.prepare)

    def hand(self, make: Callable[[], Operation | None], take: Callable[[Operation], None]) -> None:
        """The step goes to the studio; why there is none is said on the shelf."""
        try:
            step = make()
        except SurgeryError as error:
            with self.shelf.changing():
                self.shelf.problem = error
        else:
            if step is not None:
                take(step)

    def _set(self, alias: str, change: Callable[[Curve], Curve]) -> None:
        row = self.shelf.row(alias)
        with self.shelf.changing():
            if row is not None:
                row.curve, row.weighed = change(row.curve), True
            elif not alias:
                self.shelf.own = change(self.shelf.own_curve())


def _text(message: Message, name: str) -> str:
    value = message.get(name)
    return value if isinstance(value, str) else ""
