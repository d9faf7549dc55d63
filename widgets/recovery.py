"""Every step is kept in a file at once; what a killed kernel left behind is offered, and made again."""

from __future__ import annotations

import time
from typing import Any

from surgery.autosave import Autosave, Left, left_behind
from surgery.show.states import words
from widgets.errands import notice_of
from widgets.keepsakes import autosaves
from widgets.panels import Message
from widgets.theatre import Theatre

MOST_NAMED = 3


class Recovery:
    """The autosave of a studio, and what others left for the same model."""

    def __init__(self, theatre: Theatre) -> None:
        self.theatre, self.session = theatre, theatre.session
        self.autosave = Autosave.of(self.session, autosaves())
        self.left: list[Left] = []
        self._told, self._kept = False, (0, False)

    def look(self) -> None:
        """Looks for what was left, beside the kernel's thread, and offers it."""
        shown = self.theatre.shown_on_top
        self.theatre.background.each("autosave", self._look, lambda _: shown(), self._failed)

    def _look(self) -> None:
        self.left = left_behind(self.session, autosaves())

    def keep(self) -> None:
        """Keeps the steps to the current state unless it was saved, beside the kernel's thread."""
        state = self.session.history.current
        if self._kept != (state.id, state.saved):
            self._kept = state.id, state.saved
            self.theatre.background.each("autosave", self.autosave.keep, lambda _: None, self._failed)

    def _failed(self, error: Exception) -> None:
        """Said once: where it cannot be written now it will not be next time."""
        if not self._told:
            self._told = True
            self.theatre.errands.say(notice_of(error))

    def offered(self) -> dict[str, Any] | None:
        """The newest that was left, until there are steps of this session's own."""
        if not self.left or self.session.history.base.children:
            return None
        left = self.left[0]
        steps = left.script.steps
        named = ", ".join(map(words, steps[:MOST_NAMED])) + (" …" if len(steps) > MOST_NAMED else "")
        day = "%H:%M" if time.time() - left.at < 43_200 else "%d %B, %H:%M"
        return {
            "count": len(steps),
            "when": time.strftime(day, time.localtime(left.at)),
            "steps": named,
        }

    def answer(self, message: Message) -> None:
        """Restores what was offered, or forgets it."""
        if not self.left:
            return
        left = self.left.pop(0)
        if message.get("restore") is not True:
            left.discard()
            self.theatre.shown_on_top()
            return

        def restored(_: None) -> None:
            left.discard()
            count = len(left.script.steps)
            text = f"{count} step{'s' if count > 1 else ''} restored."
            self.theatre.errands.notice = {"text": text, "tone": "good", "hint": None}
            self.theatre.shown()

        self.theatre.carry(
            "Restoring",
            lambda: left.restore(self.session),
            restored,
            lambda error: self.theatre.errands.say(notice_of(error)),
        )
