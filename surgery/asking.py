"""What a session can be asked: a prompt, which both models answer, and which step is to blame."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, cast

from surgery.errors import SurgeryError
from surgery.measuring import Measuring
from surgery.model import private_shell

if TYPE_CHECKING:
    from surgery.evaluate import Examples
    from surgery.evaluate.evaluator import Progress
    from surgery.prompting import Answers, Blame, Side
    from surgery.prompting.writing import OnToken
    from surgery.session import Session


class Asking(Measuring):
    """The part of a session that answers prompts; nothing of it changes the model or the history."""

    def ask(
        self,
        prompt: Any = None,
        *,
        tokens: int = 64,
        temperature: float = 0.0,
        seed: int = 0,
        top: int = 5,
        example: int | None = None,
        examples: Examples | None = None,
        device: str = "auto",
        on_token: OnToken | None = None,
        progress: Progress | None = None,
        stop: threading.Event | None = None,
    ) -> Answers:
        """What the opened model and the edited one answer to the same prompt, side by side.

        `prompt`: text, token ids, an image (a path or a PIL image) or tensors by name; or an `example` of the
        data, by its number. Models that write go on for at most so many `tokens`, the likeliest each time, or
        drawn at a `temperature`: `seed` gives the same uniform number to both at the same position, so that
        equal distributions give equal tokens. `on_token(side, position, token)` hears each as it is written,
        with KL(original ‖ edited) there. Classifiers give their `top` classes, encoders the nearest of the
        `examples`, by default those at hand.

        Set `stop` and what is written by then comes back; Stopped is raised where that is nothing.
        SurgeryError for what the model does not take, and for a model that was opened without weights.
        """
        from surgery.prompting.ask import Asked, Manner
        from surgery.prompting.lettering import Lettering
        from surgery.prompting.prompt import prompt_from, prompt_of

        if self.is_skeleton:
            raise SurgeryError("a model opened without weights answers nothing")
        if (prompt is None) == (example is None):
            raise SurgeryError("one thing is asked: a prompt, or an example of the data by its number")
        manner = Manner(tokens, temperature, seed, top)
        with self.lock:
            state, model = self.history.current, private_shell(self.model)
        lettering = Lettering(self.opened.model, self.opened.tokenizer)
        if example is not None:
            shown = prompt_from(self._shown(examples), example, lettering)
        else:
            shown = prompt_of(prompt, self.opened, lettering)
        asked = Asked(self.opened, model, state.id, shown, lambda: self._shown(examples), device)
        return asked.answers(manner, on_token or (lambda *_: None), progress or (lambda *_: None), stop)

    def blame(
        self,
        answers: Answers,
        position: int = 0,
        of: Side = "original",
        *,
        examples: Examples | None = None,
        device: str = "auto",
        progress: Progress | None = None,
        stop: threading.Event | None = None,
    ) -> Blame:
        """How much each step of the script is to blame for an answer of `ask`, at a `position` of a text.

        Each step is reverted by itself: all others are carried out from the base, on the modules they were
        made on, whatever these are called without it. Its blame is the KL there with all steps less the KL
        without it. `of` says whose text both models read up to the position. What no step changed is not
        computed again. A step that others stand on cannot be reverted alone, and says so.

        It is about the state that was asked, wherever the session is by now. Raises SurgeryError for a
        position that is not there and where no step was made, and Stopped once `stop` is set.
        """
        from surgery.prompting.blaming import blame

        return blame(
            cast("Session", self),
            answers,
            position,
            of,
            examples=lambda: self._shown(examples),
            device=device,
            progress=progress,
            stop=stop,
        )
