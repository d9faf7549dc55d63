"""The prompt bench on the screen: what is asked, the answers as they are written, and who is to blame."""

from __future__ import annotations

import base64
import binascii
import time
from dataclasses import dataclass, field
from io import BytesIO
from threading import Event
from typing import Any

from surgery.errors import SurgeryError
from surgery.evaluate.evaluator import Progress
from surgery.prompting import Answers, Blame, Side, Token
from surgery.prompting.taken import taken
from widgets.answered import answers_state, blame_state, live_state
from widgets.panels import Message, PromptPanel
from widgets.theatre import Theatre

EVERY_S = 0.06
"""The panel is drawn so often while tokens are written."""
MOST_BYTES = 8_000_000
NEITHER = "This model takes neither text nor images: ask it in Python, with tensors by name."
SKELETON = "A model opened without weights answers nothing."
TOP = 6


@dataclass
class Run:
    """One time of asking: the tokens of each side so far."""

    asked: str
    tokens: dict[str, list[Token]] = field(default_factory=lambda: {"original": [], "edited": []})
    drawn_s: float = 0.0


class Prompting:
    """The prompt bench of a studio; `session.ask` and `session.blame` do the work."""

    def __init__(self, theatre: Theatre, panel: PromptPanel) -> None:
        self.theatre, self.session, self.panel = theatre, theatre.session, panel
        self.is_open = False
        self.form: dict[str, Any] = {
            "prompt": "",
            "tokens": 64,
            "temperature": 0.0,
            "seed": 0,
            "example": None,
        }
        self.answers: Answers | None = None
        self.blame: Blame | None = None
        self.chosen: tuple[Side, int] | None = None
        self._run: Run | None = None
        self._takes: dict[str, Any] | None = None

    def wire(self) -> None:
        """Its messages are its own."""
        self.panel.on("ask", self.ask)
        self.panel.on("blame", self.find_blame)
        self.panel.on("stop", lambda _: self.theatre.errands.stop())
        self.panel.on("close", lambda _: self.toggle(False))

    def toggle(self, opened: bool | None = None) -> None:
        """Shows the bench, or puts it away with all that is on it."""
        self.is_open = not self.is_open if opened is None else opened
        self.theatre.shown()

    # What a person does -----------------------------------------------------------------------

    def ask(self, message: Message) -> None:
        """Asks both models; what is being measured is stopped for it."""
        image = message.get("image")
        self.form |= {
            "prompt": str(message.get("prompt", "")),
            "tokens": int(message.get("tokens", 64)),
            "temperature": float(message.get("temperature", 0.0)),
            "seed": int(message.get("seed", 0)),
            "example": None if message.get("example") is None else int(message["example"]),
        }
        form, errands = dict(self.form), self.theatre.errands
        run = self._run = Run(form["prompt"])
        self.answers = self.blame = self.chosen = None

        def work(stop: Event, tell: Progress) -> Answers:
            given = None if form["example"] is not None else self._given(form["prompt"], image)
            return self.session.ask(
                given,
                example=form["example"],
                tokens=form["tokens"],
                temperature=form["temperature"],
                seed=form["seed"],
                top=TOP,
                device=errands.device,
                on_token=lambda side, _, token: self._written(run, side, token),
                progress=tell,
                stop=stop,
            )

        def kept(answers: Answers) -> None:
            if self._run is run:
                self.answers = answers

        errands.measure("prompt", "Answering", work, kept)

    def find_blame(self, message: Message) -> None:
        """Reverts each step in turn, for a position of the answers that are shown."""
        answers, position = self.answers, int(message.get("position", 0))
        side: Side = "edited" if message.get("side") == "edited" else "original"
        if answers is None:
            return
        if not self._steps(answers):
            self.theatre.errands.say(
                {
                    "text": "No step was made before these answers: none is to blame.",
                    "tone": "note",
                    "hint": None,
                }
            )
            return
        self.chosen, self.blame = (side, position), None

        def kept(blame: Blame) -> None:
            if self.answers is answers and self.chosen == (side, position):
                self.blame = blame

        self.theatre.errands.measure(
            "blame",
            "Reverting each step",
            lambda stop, tell: self.session.blame(
                answers, position, side, device=self.theatre.errands.device, progress=tell, stop=stop
            ),
            kept,
        )

    def _steps(self, answers: Answers) -> bool:
        return answers.state != self.session.history.base.id

    def _given(self, prompt: str, image: Any) -> Any:
        """What was typed or sent, as `session.ask` takes it."""
        if isinstance(image, dict):
            return _image(str(image.get("name", "the image")), str(image.get("data", "")))
        if self._what()["takes"] != "ids":
            return prompt
        words = prompt.replace(",", " ").split()
        if not all(word.isdecimal() for word in words):
            raise SurgeryError(
                "the model has no tokenizer, and takes token ids", got=prompt[:40], hint="12 7 33"
            )
        return [int(word) for word in words]

    # Drawing it -------------------------------------------------------------------------------

    def _written(self, run: Run, side: Side, token: Token) -> None:
        """A token more; drawn now and then, and in the end by whoever measures."""
        run.tokens[side].append(token)
        now_s = time.monotonic()
        if self._run is run and now_s - run.drawn_s >= EVERY_S:
            run.drawn_s = now_s
            self.show()

    def show(self) -> None:
        """Draws the panel."""
        with self.theatre.drawing:
            self.panel.state = self.state() if self.is_open else {"open": False}

    def state(self) -> dict[str, Any]:
        """The prompt state of protocol.ts."""
        running = self.theatre.errands.measuring
        shown: dict[str, Any] = {
            "open": True,
            "reason": SKELETON if self.session.is_skeleton else self._what()["reason"],
            "running": running in ("prompt", "blame"),
            "stale": False,
            "chosen": None,
            "blame": None,
            **self.form,
        }
        if self.session.is_skeleton:
            return shown
        shown |= self._what()
        if self.answers is not None:
            shown |= answers_state(self.answers)
            shown["stale"] = self.answers.state != self.session.history.current.id
            if self.chosen is not None and (self.blame is not None or running == "blame"):
                shown["chosen"] = {"side": self.chosen[0], "position": self.chosen[1]}
            if self.blame is not None:
                shown["blame"] = blame_state(self.blame)
        elif running == "prompt" and self._run is not None:
            shown |= live_state(self._run.asked, self._run.tokens)
        return shown

    def _what(self) -> dict[str, Any]:
        """What the model takes; looked at once, since examples may have to be read."""
        if self._takes is None:
            found = taken(self.session.opened)
            self._takes = {
                "takes": found.takes,
                "examples": found.examples,
                "writes": found.writes,
                "reason": None if found.fits else NEITHER,
            }
        return self._takes


def _image(name: str, data: str) -> Any:
    """The image whose file was sent as base64."""
    if len(data) > MOST_BYTES:
        raise SurgeryError("the image is too large", path=name, expected="a file of at most 5 MB")
    try:
        from PIL import Image
    except ImportError:
        raise SurgeryError(
            "images are read with Pillow, which is not installed",
            hint="`pip install 'model-surgery[images]'`",
        ) from None
    try:
        with Image.open(BytesIO(base64.b64decode(data, validate=True))) as image:
            return image.convert("RGB")
    except (binascii.Error, OSError, ValueError, Image.DecompressionBombError) as error:
        raise SurgeryError(f"the image cannot be read: {str(error)[:80]}", path=name) from None
