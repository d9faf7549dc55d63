"""A shelf on a small decoder in a folder, with what it hands to the studio gathered in lists."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import surgery
from surgery.operation import Operation
from surgery.session import Session
from tests.surgery.merging.parents import base_model, saved
from widgets.background import Background
from widgets.panels import ShelfPanel
from widgets.shelf import Shelf, wire


@dataclass
class Bench:
    """A session, its shelf, and what came out of it."""

    session: Session
    shelf: Shelf
    panel: ShelfPanel
    background: Background
    prepared: list[Operation] = field(default_factory=list)
    tried: list[Operation] = field(default_factory=list)

    @classmethod
    def on(cls, base: Path, **options: Any) -> Bench:
        """The shelf on the model in a folder."""
        session, background, panel = surgery.open(base, **options), Background(), ShelfPanel()
        prepared, tried = list[Operation](), list[Operation]()

        def draw() -> None:
            panel.state = shelf.state(session.graph)

        shelf = Shelf(session, background, prepared.append, tried.append, draw)
        wire(shelf, panel)
        draw()
        return cls(session, shelf, panel, background, prepared, tried)

    def send(self, type: str, **message: Any) -> Any:
        """A message as the browser sends it, and the state once everything is done."""
        self.panel._handle_custom_msg({"type": type, **message}, [])
        return self.settled()

    def settled(self) -> Any:
        """The state once reading and comparing are done."""
        for _ in range(2):  # what was read is compared
            self.background.settle(60)
        state = self.panel.state
        assert json.loads(json.dumps(state)) == state
        return state

    def add(self, source: str | Path, alias: str) -> Any:
        """A parent is added."""
        return self.send("add", source=str(source), alias=alias)


def shorter(folder: Path) -> Path:
    """The base without its last block, in a folder."""
    session = surgery.open(base_model())
    session.remove("model.layers[3]")
    return saved(session.model, folder)
