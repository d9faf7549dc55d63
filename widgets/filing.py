"""Opening and saving by hand: folders to choose from, recent models, and another model in the same studio."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import surgery
from surgery import fence
from surgery.errors import SurgeryError
from surgery.identities import base_of, same_base, same_class
from surgery.script import Script
from surgery.session import Session
from widgets.errands import Notice, notice_of
from widgets.folders import fits, listing
from widgets.keepsakes import recent, remember
from widgets.panels import Message
from widgets.theatre import Theatre

DEMOS = ("demo", "demo-cnn", "demo-vit")


class Filing:
    """The file panel of a studio; `begin` puts another session in place of the one there is."""

    def __init__(self, theatre: Theatre, begin: Callable[[Session], None]) -> None:
        self.theatre, self.begin = theatre, begin
        self.shown: dict[str, Any] | None = None
        self.problem: dict[str, str] | None = None

    def state(self) -> dict[str, Any]:
        """The files state of protocol.ts."""
        if self.shown is None:
            return {"shown": None}
        return {"shown": {**self.shown, "recent": recent(), "demos": list(DEMOS), "problem": self.problem}}

    def browse(self, message: Message) -> None:
        """Shows a folder; without a path the one shown last, at first the working folder."""
        path = message.get("path")
        before = self.shown["folder"] if self.shown else "" if fence.current() else "."
        try:
            self.shown, self.problem = listing(path if isinstance(path, str) else before), None
        except SurgeryError as error:
            self.shown = self.shown or listing("" if fence.current() else str(Path.home()))
            self.problem = _told(error)
        self.theatre.shown()

    def close(self) -> None:
        """Takes the panel away."""
        self.shown = self.problem = None
        self.theatre.shown()

    def open(self, message: Message) -> None:
        """Opens a model, or the model of a script with its steps made; what is open now stays until then."""
        source, skeleton = str(message.get("source", "")).strip(), message.get("skeleton") is True
        if not source:
            return
        pending = len(self.theatre.desk.planned.entries)
        if pending:
            said = f"{pending} pending edit{'s' if pending > 1 else ''} would be lost"
            self.theatre.errands.say(notice_of(SurgeryError(said, hint="applying or dropping them first")))
            return
        self.shown = None

        def begun(session: Session) -> Notice | None:
            self.begin(session)
            remember(source)
            return None

        self.theatre.errands.chore(
            f"Opening {Path(source).name or source}", lambda: opened(source, skeleton=skeleton), begun
        )
        self.theatre.shown()


def opened(source: str, *, skeleton: bool = False, model: str | None = None) -> Session:
    """A session on a model, or with a script's steps made on the model it was made on, or on `model`.

    Weights that have no room in memory are left where they are. A script opens no other model than its own,
    and runs no code.
    """
    if not source.endswith(".surgery.json"):
        session = surgery.open(source, skeleton=skeleton or not fits(source))
    else:
        script = Script.read(source)
        base = base_of(script, model, None)
        assert isinstance(base, str)
        session = surgery.open(base, skeleton=skeleton or not fits(base))
        (same_class if session.is_skeleton else same_base)(session.base, script)
        for step in script.steps:
            session.apply(step)
    assert session.graph is not None  # traced here, and not while the studio waits for it
    return session


def _told(error: SurgeryError) -> dict[str, str]:
    return {"text": error.sentence(with_hint=False), "hint": error.hint or ""}
