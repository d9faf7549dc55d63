"""Saving by hand: script, model, report and picture, beside the kernel's thread."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from surgery.errors import SurgeryError
from widgets.errands import Notice, notice_of
from widgets.panels import Message
from widgets.theatre import Theatre

Written = tuple[Path, str | None]
"""Where, and the fingerprint of a script's or a model's result."""

_ENDINGS = {"Script": (".json",), "Report": (".html", ".htm"), "Picture": (".svg",)}


class Saving:
    """The saves of a studio."""

    def __init__(self, theatre: Theatre) -> None:
        self.theatre, self.session = theatre, theatre.session

    def script(self, message: Message) -> None:
        """Writes the script to a file; the notice says where, and the model's fingerprint."""
        path = str(message.get("path", ""))

        def write() -> Written:
            with self.session.lock:
                script, state = self.session.script, self.session.history.current
            place = script.write(path)
            self.session.history.saved(state)
            return place, script.result

        self._save("Script", path, write)

    def model(self, message: Message) -> None:
        """Writes the model to a folder, over another only if asked to; the notice says the fingerprint."""
        path, overwrite = str(message.get("path", "")), message.get("overwrite") is True

        def write() -> Written:
            with self.session.lock:  # so that the fingerprint said is that of what was written
                return self.session.save(path, overwrite=overwrite), self.session.fingerprint()

        self._save("Model", path, write)

    def report(self, message: Message) -> None:
        """Writes the report as one page, with the block that is opened."""
        path, opened = str(message.get("path", "")), self.theatre.desk.opened
        self._save("Report", path, lambda: (self.session.write_report(path, opened), None))

    def picture(self, message: Message) -> None:
        """Writes the graph as SVG, with the block that is opened."""
        path, opened = str(message.get("path", "")), self.theatre.desk.opened
        self._save("Picture", path, lambda: (self.session.picture(opened).write(path), None))

    def _save(self, what: str, path: str, write: Callable[[], Written]) -> None:
        errands, endings = self.theatre.errands, _ENDINGS.get(what, ())
        if not path.strip():
            errands.say(notice_of(SurgeryError("a path is needed to save to")))
            return
        if endings and not path.lower().endswith(endings):  # what is there may be something else
            problem = SurgeryError(f"a {what.lower()} is a file that ends so", path=path, expected=endings[0])
            errands.say(notice_of(problem))
            return

        def said(written: Written) -> Notice:
            place, fingerprint = written
            hint = f"fingerprint {fingerprint}" if fingerprint else None
            return {"text": f"{what} saved to {place}", "tone": "good", "hint": hint}

        errands.chore(f"Saving {Path(path).name}", write, said)
