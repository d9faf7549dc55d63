"""Commands by name: what the menu, the palette and the keys can do, and why not now."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from graph.nodes import ModuleGraph
from graph.similar import KINDS
from surgery.advise import advisers
from surgery.registry import operations
from surgery.session import Session
from widgets.colouring import ADVICE, TITLES
from widgets.desk import Desk
from widgets.fitting import reasons

if TYPE_CHECKING:
    from widgets.studio import Studio

GROUPS = {
    **{"tie": "Tie", "untie": "Untie", "merge": "Merge", "prune": "Prune"},
    **{"arrange": "Arrange", "attach": "Attach", "adjust": "Adjust"},
}
"""Groups of operations in the order in which verbs and menu show them."""

KEYS = {"T": "tie", "U": "untie", "M": "merge", "P": "remove", "A": "attach"}
_SHORTCUTS = {name: key for key, name in KEYS.items()}


@dataclass(frozen=True)
class Command:
    """What can be asked for; `about` says whether it is about the selection, for the menu at a node."""

    name: str
    title: str
    group: str
    key: str | None = None
    about: str = "selection"


COLOURS = tuple(
    Command(f"colour:{name}", f"Colour by {title}", "View", about="studio") for name, title in TITLES.items()
)

STUDIO = (
    Command("similar:role", "Select the same role in every block", "Select", "R"),
    Command("similar:class", "Select all of its class", "Select"),
    Command("similar:shape", "Select all that are alike", "Select"),
    Command("invert", "Select the others of the same list", "Select", "I"),
    Command("open", "Open", "View", "Enter"),
    Command("evaluate", "Evaluate", "Measure", "E", about="studio"),
    Command("prompt", "Prompt: ask both models the same", "Measure", "Q", about="studio"),
    Command("stop", "Stop what is being measured", "Measure", about="studio"),
    *(
        Command(f"colour:{name}", f"Colour by {title}", "View", about="studio")
        for name, title in TITLES.items()
    ),
    Command("undo", "Undo", "History", "Ctrl-Z", about="studio"),
    Command("redo", "Redo", "History", "Ctrl-Shift-Z", about="studio"),
    Command("parents", "Parents shelf: merge with other checkpoints", "Merge", "B", about="studio"),
    Command("browse", "Open a model or script …", "File", "Ctrl-O", about="studio"),
    Command("pending", "Apply all pending edits", "Edit", about="studio"),
    Command("pending_drop", "Drop all pending edits", "Edit", about="studio"),
)


def menu(graph: ModuleGraph, desk: Desk, session: Session) -> dict[str, Any]:
    """The menu state of protocol.ts: every command, and why it cannot be run now."""
    why = reasons(graph, desk.selection)
    order = list(GROUPS)
    fitting = sorted(operations().values(), key=lambda cls: order.index(cls.group))
    rows = [
        _row(
            Command(f"operation:{cls.name}", cls.title, GROUPS[cls.group], _SHORTCUTS.get(cls.name)),
            why[cls.name],
            cls.summary().replace("`", ""),
        )
        for cls in fitting
    ]
    rows += [_row(command, _reason(command, desk, session), "") for command in STUDIO]
    rows += [
        _row(
            Command(f"colour:{ADVICE}{name}", f"Colour by {cls.called()}", "View", about="studio"),
            "the model was opened without weights" if session.is_skeleton else None,
            cls.summary().replace("`", ""),
        )
        for name, cls in advisers().items()
    ]
    return {"commands": rows, "selection": list(desk.selection)}


def _row(command: Command, reason: str | None, summary: str) -> dict[str, Any]:
    return {
        "name": command.name,
        "title": command.title,
        "group": command.group,
        "key": command.key,
        "about": command.about,
        "reason": reason,
        "summary": summary,
    }


def _reason(command: Command, desk: Desk, session: Session) -> str | None:
    state = session.history.current
    if command.about == "selection":
        return None if desk.selection else "select something first"
    if command.name == "undo":
        return None if state.parent is not None else "there is nothing to undo"
    if command.name == "redo":
        return None if session.history.can_redo else "there is nothing to redo"
    if command.name in ("pending", "pending_drop"):
        return None if desk.planned.entries else "nothing is pending"
    return None


class Commands:
    """Runs commands of a studio by name; what is not known or cannot be run changes nothing."""

    def __init__(self, studio: Studio) -> None:
        self.studio = studio

    def run(self, name: str) -> None:
        """Does it."""
        kind, _, what = name.partition(":")
        studio = self.studio
        if kind == "operation":
            studio.operating.draft(what)
        elif kind == "similar" and what in KINDS:
            studio.selecting.similar(what)
        elif kind == "colour" and what.startswith(ADVICE):
            studio.advising.colour(what.removeprefix(ADVICE))
        elif kind == "colour" and what in TITLES:
            studio.desk.colour = what
            studio.refresh()
        elif kind == "open":
            studio.selecting.open({"path": next(iter(studio.desk.selection), None)})
        else:
            does: dict[str, Callable[[], object]] = {
                "invert": studio.selecting.invert,
                "evaluate": lambda: studio.errands.evaluate(studio.errands.budget_s),
                "stop": studio.errands.stop,
                "undo": studio.operating.undo,
                "redo": studio.operating.redo,
                "parents": self._parents,
                "prompt": studio.prompting.toggle,
                "browse": lambda: studio.filing.browse({}),
                "pending": lambda: studio.pending.apply({}),
                "pending_drop": lambda: studio.pending.drop({}),
            }
            does.get(name, lambda: None)()

    def key(self, key: str) -> None:
        """What a key means; Escape drops the draft, and without one the selection."""
        if key in KEYS:
            self.run(f"operation:{KEYS[key]}")
        elif key == "Escape":
            self._escape()
        else:
            found = next((command.name for command in STUDIO if command.key == key), None)
            if found is not None and found != "open":  # Enter is the panel's own
                self.run(found)

    def _parents(self) -> None:
        self.studio.desk.shelf = not self.studio.desk.shelf
        self.studio.refresh()

    def _escape(self) -> None:
        if self.studio.desk.draft is not None or self.studio.desk.alert is not None:
            self.studio.operating.drop()
        else:
            self.studio.selecting.clear()
