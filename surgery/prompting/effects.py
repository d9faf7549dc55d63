"""What the edits did to an answer, as one number of a model: a KL, or a drift of similarities."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from surgery.errors import SurgeryError
from surgery.evaluate.answer import Wants
from surgery.evaluate.data.examples import IDS, Batch, Examples
from surgery.evaluate.running import Runner
from surgery.prompting.answers import Answers, ClassAnswers, NeighbourAnswers, Side, TextAnswers
from surgery.prompting.ask import answered, text_inputs
from surgery.prompting.classes import said_of
from surgery.prompting.lettering import Lettering
from surgery.prompting.neighbours import drift, similarities
from surgery.prompting.reading import divergence_nats, log_probabilities, next_logits

if TYPE_CHECKING:
    from surgery.sources import Opened


@dataclass(frozen=True)
class Measured:
    """The effect on an answer, and the logarithm of the probability of what the original says."""

    effect: float
    log_probability: float | None


Measure = Callable[[Runner], Measured]


@dataclass(frozen=True, eq=False)
class Question:
    """What is measured of each model: the data to have on the bench, and how, once the original was heard."""

    examples: Examples
    unit: str
    begin: Callable[[Runner], tuple[Measure, str]]


def question_of(
    opened: Opened, answers: Answers, position: int, of: Side, examples: Callable[[], Examples]
) -> Question:
    """What is measured of these answers. SurgeryError for a position that a text does not have."""
    if isinstance(answers, TextAnswers):
        return _of_text(opened, answers, position, of)
    one = Batch(answers.inputs)
    if isinstance(answers, NeighbourAnswers):
        return _of_neighbours(answers, one, examples())
    return _of_classes(answers, one)


def _of_text(opened: Opened, answers: TextAnswers, position: int, of: Side) -> Question:
    if of not in ("original", "edited"):
        raise SurgeryError("whose text it is", got=of, expected="original or edited")
    tokens = answers.tokens(of)
    if not 0 <= position < len(tokens):
        raise SurgeryError(
            "the answer has no such position",
            path=f"the {of}'s text",
            got=position,
            expected=f"0 to {len(tokens) - 1}",
        )
    written = [token.id for token in tokens[:position]]
    inputs = {name: torch.tensor([ids]) for name, ids in text_inputs(opened, answers.inputs, written).items()}
    own = of == "original" or answers.divergence is None or position < answers.divergence

    def begin(original: Runner) -> tuple[Measure, str]:
        def heard(runner: Runner) -> Tensor:
            there = {name: value.to(runner.device) for name, value in inputs.items()}
            return log_probabilities(next_logits(runner, there, (0, 1)), runner.whose)

        p = heard(original)
        token = tokens[position].id if own else int(p.argmax())

        def measure(runner: Runner) -> Measured:
            q = heard(runner)
            return Measured(divergence_nats(p, q), float(q[token]))

        return measure, Lettering(opened.model, opened.tokenizer).token(token)

    return Question(Examples("the prompt", True, {IDS: inputs[IDS]}), "nats", begin)


def _of_classes(answers: ClassAnswers, one: Batch) -> Question:
    likeliest = answers.choices[0]

    def begin(original: Runner) -> tuple[Measure, str]:
        def heard(runner: Runner) -> Tensor:
            return said_of(runner.answer(one.to(runner.device), (0, 1), Wants(logits=True)), runner.whose)

        p = heard(original)

        def measure(runner: Runner) -> Measured:
            q = heard(runner)
            return Measured(divergence_nats(p, q), float(q[likeliest.id]))

        return measure, likeliest.name

    return Question(Examples("the prompt", True, dict(one.inputs)), "nats", begin)


def _of_neighbours(answers: NeighbourAnswers, one: Batch, data: Examples) -> Question:
    def begin(original: Runner) -> tuple[Measure, str]:
        def heard(runner: Runner) -> Tensor:
            return similarities(runner, answered(runner, one.to(runner.device)), data)

        p = heard(original)
        return lambda runner: Measured(drift(p, heard(runner)), None), answers.neighbours[0].name

    return Question(data, "cosine", begin)
