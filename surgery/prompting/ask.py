"""Asks the original and the edited model the same: each answers in the manner of its kind."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn

from surgery.errors import SurgeryError
from surgery.evaluate.answer import Answer, Wants
from surgery.evaluate.bench import Bench
from surgery.evaluate.data.examples import IDS, Batch, Examples
from surgery.evaluate.data.vocabulary import positions
from surgery.evaluate.running import Runner
from surgery.evaluate.subject import check_tokens, looks_ahead
from surgery.prompting.answers import Answers, TextAnswers, Token
from surgery.prompting.classes import class_answers
from surgery.prompting.lettering import Lettering
from surgery.prompting.neighbours import neighbour_answers
from surgery.prompting.prompt import Prompt
from surgery.prompting.reading import DECODED, Reader
from surgery.prompting.writing import OnToken, write

if TYPE_CHECKING:
    from surgery.sources import Opened

Progress = Callable[[float, str], None]
MOST_TOKENS = 4096


@dataclass(frozen=True)
class Manner:
    """How it is answered: `tokens` at most, drawn at `temperature` with `seed`; `top` classes or examples."""

    tokens: int = 64
    temperature: float = 0.0
    seed: int = 0
    top: int = 5

    def __post_init__(self) -> None:
        if not 1 <= self.tokens <= MOST_TOKENS:
            raise SurgeryError("a number of tokens", got=self.tokens, expected=f"1 to {MOST_TOKENS:,}")
        if not 0 <= self.temperature < float("inf"):
            raise SurgeryError("is no temperature", got=self.temperature, expected="0 (greedy) or more")
        if self.top < 1:
            raise SurgeryError("at least one is shown", path="top", got=self.top)


@dataclass(frozen=True, eq=False)
class Asked:
    """Two models and what they are asked; `examples` gives the data that neighbours are sought in."""

    opened: Opened
    edited: nn.Module
    state: int
    prompt: Prompt
    examples: Callable[[], Examples]
    device: str = "auto"

    def answers(
        self, manner: Manner, on_token: OnToken, progress: Progress, stop: threading.Event | None
    ) -> Answers:
        """What both say; Stopped if `stop` is set before there is anything."""
        began, opened, prompt = time.perf_counter(), self.opened, self.prompt
        shown = Examples("the prompt", True, dict(prompt.inputs))
        check_tokens(opened.model, shown)
        bench = Bench(opened.model, examples=shown, device=self.device, exact=True, tape_bytes=0)
        with bench.at_work(stop) as check, ExitStack() as stack:
            original, edited = self._runners(bench)
            for runner in (original, edited):
                stack.enter_context(runner.interruptible(check))
            lettering = Lettering(opened.model, opened.tokenizer)
            said: dict[str, Any] = {
                "prompt": prompt.said,
                "state": self.state,
                "device": str(bench.device),
                "inputs": prompt.inputs,
                "notes": prompt.notes,
            }

            def timed() -> dict[str, Any]:
                return {**said, "seconds": time.perf_counter() - began}

            if writes(original, prompt):
                return self._written(original, edited, lettering, manner, on_token, progress, check, timed)
            one = Batch(prompt.inputs).to(bench.device)
            first, second = answered(original, one), answered(edited, one)
            check()
            if first.shape is not None and not first.per_position:
                progress(1.0, "classes")
                return class_answers(opened.model, prompt, first, second, manner.top, timed())
            if first.embedding is not None:
                data = self.examples()
                return neighbour_answers(
                    (original, edited), (first, second), data, lettering, manner.top, progress, check, timed
                )
            raise SurgeryError(
                f"{type(opened.model).__name__} writes no text, names no class of an example and gives no "
                "embedding, so it answers nothing",
                hint="the model with its head, or without it",
            )

    def _runners(self, bench: Bench) -> tuple[Runner, Runner]:
        original = bench.runner(self.opened.model, "the model before surgery", taped=False)
        return original, bench.runner(self.edited, "the edited model", taped=False)

    def _written(
        self,
        original: Runner,
        edited: Runner,
        lettering: Lettering,
        manner: Manner,
        on_token: OnToken,
        progress: Progress,
        check: Callable[[], None],
        timed: Callable[[], dict[str, Any]],
    ) -> TextAnswers:
        ids = self.prompt.ids
        assert ids is not None
        start = decoder_start(self.opened.model)
        tokens, note = _room(self.opened.model, self.edited, len(start or ids), manner.tokens)
        progress(0.0, "reading the prompt")
        readers = Reader(original, ids, start), Reader(edited, ids, start)

        def told(side: Any, place: int, token: Token) -> None:
            on_token(side, place, token)
            progress(min(0.99, (place + 1) / tokens), f"token {place + 1:,}")

        drawn = manner.temperature, manner.seed
        one, two, stopped = write(readers, lettering, tokens, *drawn, told, check)
        progress(1.0, "written")
        made = timed()
        return TextAnswers(
            **{**made, "notes": (*made["notes"], *note)},
            original=tuple(one),
            edited=tuple(two),
            texts=(lettering.text([item.id for item in one]), lettering.text([item.id for item in two])),
            temperature=manner.temperature,
            seed=manner.seed,
            stopped=stopped,
        )


def answered(runner: Runner, one: Batch) -> Answer:
    """What a model that writes nothing gives."""
    return runner.answer(one, None, Wants(logits=True, embedding=True))


def writes(runner: Runner, prompt: Prompt) -> bool:
    """Whether the model goes on writing: one that generates, or says for each token what comes next."""
    if prompt.ids is None or set(prompt.inputs) != {IDS}:
        return False
    can = getattr(runner.model, "can_generate", None)
    if can is not None and can():
        return True
    one = Batch(prompt.inputs).to(runner.device)
    answer = runner.answer(one, None, Wants(logits=True))
    if answer.shape is None or not answer.per_position or answer.shape[0] != len(prompt.ids):
        return False
    if answer.shape[1] <= max(prompt.ids):  # a class per token
        return False
    return not looks_ahead(runner, one)  # one that sees the whole text is an encoder


def decoder_start(model: nn.Module) -> list[int] | None:
    """What the decoder of an encoder-decoder begins with; None for other models."""
    config: Any = getattr(model, "config", None)
    if not getattr(config, "is_encoder_decoder", False):
        return None
    for owner in (getattr(model, "generation_config", None), config):
        for name in ("decoder_start_token_id", "bos_token_id"):
            if isinstance(found := getattr(owner, name, None), int):
                return [found]
    return [0]


def text_inputs(opened: Opened, inputs: Mapping[str, Tensor], written: list[int]) -> dict[str, list[int]]:
    """The ids, by name, of a prompt and what was written after it."""
    ids, start = [int(item) for item in inputs[IDS][0]], decoder_start(opened.model)
    return {IDS: ids + written} if start is None else {IDS: ids, DECODED: start + written}


def _room(original: nn.Module, edited: nn.Module, read: int, tokens: int) -> tuple[int, tuple[str, ...]]:
    """How many tokens find room after those that were read, and a note where they are fewer."""
    rooms = [room for room in map(positions, (original, edited)) if room is not None]
    if not rooms or min(rooms) - read >= tokens:
        return tokens, ()
    left = min(rooms) - read
    if left < 1:
        raise SurgeryError(
            "the prompt leaves no room for an answer",
            got=f"{read:,} tokens",
            expected=f"fewer than the {min(rooms):,} positions of the model",
        )
    return left, (f"The model has {min(rooms):,} positions: room for {left:,} tokens.",)
