"""Which step of the script is to blame: each is reverted by itself, and the answer measured again."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from torch import nn

from surgery.errors import SurgeryError
from surgery.evaluate.bench import Bench
from surgery.evaluate.data.examples import Examples
from surgery.operation import Operation
from surgery.prompting.answers import Answers, Side, TextAnswers, finite
from surgery.prompting.blame import Blame, StepBlame
from surgery.prompting.effects import Measure, Measured, question_of
from surgery.reverting import Reverting

if TYPE_CHECKING:
    from surgery.evaluate.evaluator import Progress
    from surgery.session import Session


def blame(
    session: Session,
    answers: Answers,
    position: int,
    of: Side,
    *,
    examples: Callable[[], Examples],
    device: str,
    progress: Progress | None,
    stop: threading.Event | None,
) -> Blame:
    """What `session.blame` gives; see there."""
    reverting = Reverting(session, session.history.state(answers.state))
    if not reverting.steps:
        raise SurgeryError("no step was made before these answers, so none is to blame", got="the original")
    question = question_of(session.opened, answers, position, of, examples)
    told, count = progress or (lambda *_: None), len(reverting.steps)
    alone: list[Measured | SurgeryError] = []
    notes: list[tuple[str, ...]] = []
    bench = Bench(session.opened.model, examples=question.examples, device=device, exact=True)
    with bench.at_work(stop) as check:
        original = bench.runner(session.opened.model, "the model before surgery")
        with original.interruptible(check):
            measure, said = question.begin(original)
        for number in range(1, count + 2):  # all steps last: what stands before each is made once
            check()
            every = number > count
            told(number / (count + 2), "with all steps" if every else f"without step {number} of {count}")
            try:
                reverted = reverting.without(number)
                whose = "the edited model" if every else f"the model without step {number}"
                alone.append(_measured(bench, reverted.model, whose, measure, check))
                notes.append(reverted.notes)
            except SurgeryError as error:
                if every:
                    raise
                alone.append(error)
                notes.append(())
        told(1.0, "measured")
    whole = alone.pop()
    assert isinstance(whole, Measured)
    found = [
        _of_step(number, step, whole, without, said_of_it)
        for number, (step, without, said_of_it) in enumerate(
            zip(reverting.steps, alone, notes, strict=False), 1
        )
    ]
    text = isinstance(answers, TextAnswers)
    return Blame(
        whole.effect,
        question.unit,
        _shared(found),
        answers.prompt,
        said,
        position if text else None,
        of if text else "original",
        str(bench.device),
    )


def _of_step(
    number: int,
    step: Operation,
    whole: Measured,
    without: Measured | SurgeryError,
    notes: tuple[str, ...],
) -> StepBlame:
    if isinstance(without, SurgeryError):
        return StepBlame(number, step, refused=without.sentence(with_hint=False))
    gain = None
    if without.log_probability is not None and whole.log_probability is not None:
        gain = _less(without.log_probability, whole.log_probability)
    return StepBlame(number, step, _less(whole.effect, without.effect), None, gain, notes=notes)


def _measured(
    bench: Bench, model: nn.Module, whose: str, measure: Measure, check: Callable[[], None]
) -> Measured:
    """What is measured of a model, over the tape; without it where a replayed block wrote into itself."""
    for taped in (True, False):
        runner = bench.runner(model, whose, taped=taped)
        try:
            with runner.interruptible(check):
                found = measure(runner)
            if not taped or bench.tape.held():
                return found
        finally:
            runner.release()
    raise AssertionError("a forward without the tape is what it is")


def _less(one: float, two: float) -> float:
    """Their difference, which is nothing where both are without end."""
    return 0.0 if one == two else one - two


def _shared(found: list[StepBlame]) -> tuple[StepBlame, ...]:
    """The steps with their shares of all that is known and finite."""
    known = [abs(step.blame) for step in found if step.blame is not None and finite(step.blame) is not None]
    total = sum(known)
    if not total:
        return tuple(found)
    return tuple(
        step if step.blame is None or finite(step.blame) is None else replace(step, share=step.blame / total)
        for step in found
    )
