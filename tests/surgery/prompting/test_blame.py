"""Blame: each step is reverted by itself, and the answer measured again."""

from __future__ import annotations

import json
import random
import threading
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import nn

import surgery
from surgery import Session, SurgeryError
from surgery.demo.text import topics
from surgery.evaluate import Stopped
from surgery.prompting import Blame, TextAnswers
from surgery.registry import operation_named
from tests.surgery.states import untouched

CASES, RIGHT = 20, 19
APART = 3.0
"""How many times the effect of the smaller damage the larger has, each by itself."""


def said(model: nn.Module, ids: list[int]) -> torch.Tensor:
    """What the model says comes next, by a whole forward."""
    with torch.no_grad():
        found: torch.Tensor = model.eval()(torch.tensor([ids])).logits[0, -1].double().log_softmax(-1)
    return found


def kl(p: torch.Tensor, q: torch.Tensor) -> float:
    """KL of two distributions."""
    return float((p.exp() * (p - q)).sum())


def damaged(session: Session, *damages: tuple[int, float]) -> nn.Module:
    """The model after these damages to the MLPs of blocks, from the base."""
    session.goto(0)
    for block, factor in damages:
        step = operation_named("scale").of(f"model.layers[{block}].mlp", factor=factor)
        session.apply_unchecked(step)
    return session.model


@dataclass(frozen=True)
class Planted:
    """A prompt, and damages in a random order: those at `larger` and `smaller` are planted, others slight."""

    prompt: str
    damages: tuple[tuple[int, float], ...]
    larger: int
    smaller: int


def planted(session: Session, draw: random.Random) -> Planted:
    """Two damages among three slight ones, of known size: each by itself, before anything is blamed."""
    texts = topics("held-out")
    while True:
        text = draw.choice(texts)
        start = draw.randrange(max(1, len(text) - 60))
        prompt = text[start : start + 40]
        blocks = draw.sample(range(10), 5)
        factors = [*(draw.choice((0.2, 0.4, 0.6, 0.8)) for _ in range(2)), 0.99, 0.985, 1.01]
        damages = list(zip(blocks, factors, strict=True))
        draw.shuffle(damages)
        ids = list(prompt.encode())
        if not 8 <= len(ids) <= 60:
            continue
        p = said(session.opened.model, ids)
        sizes = [kl(p, said(damaged(session, damage), ids)) for damage in damages]
        order = sorted(range(5), key=lambda place: -sizes[place])
        largest = [sizes[place] for place in order[:3]]
        if largest[0] > 0.05 and largest[0] > APART * largest[1] and largest[1] > APART * largest[2]:
            return Planted(prompt, tuple(damages), order[0], order[1])


def test_two_planted_damages_rank_right() -> None:
    """The larger before the smaller, and before all else, 19 times of 20 at the least.

    There are five steps, so that what steps do together is in every figure: with two alone, the blame of
    one would say the size of the other by its definition. Orders that know nothing of the model fail.
    """
    session, draw = surgery.open("demo"), random.Random(0)
    right = foremost = by_order = by_chance = 0
    for _ in range(CASES):
        case = planted(session, draw)
        damaged(session, *case.damages)
        blame = session.blame(session.ask(case.prompt, tokens=1, device="cpu"), 0, device="cpu")
        ranked = [step.number - 1 for step in blame.ranked]
        assert sorted(ranked) == [0, 1, 2, 3, 4]
        right += ranked.index(case.larger) < ranked.index(case.smaller)
        foremost += ranked[0] == case.larger
        by_order += case.larger < case.smaller  # whoever blames steps in the order of the script
        draw.shuffle(ranked)  # the same figures, given to the wrong steps
        by_chance += ranked.index(case.larger) < ranked.index(case.smaller)
    assert right >= RIGHT and foremost >= RIGHT
    assert by_order < RIGHT and by_chance < RIGHT


@pytest.fixture(scope="module")
def cut() -> Session:
    """The demonstration decoder with a removal, a step behind it that it moved, and one that does nothing."""
    session = surgery.open("demo")
    session.remove("model.layers[3]")
    session.scale("model.layers[6].mlp", factor=0.3)
    session.attach("model.layers[2].self_attn.q_proj", "lora", rank=2)
    return session


def blamed(session: Session, position: int = 2, **fields: Any) -> tuple[TextAnswers, Blame]:
    """The answers to a prompt, and who is to blame for a position of them."""
    answers = session.ask("The for statement is", tokens=8, device="cpu")
    assert isinstance(answers, TextAnswers)
    return answers, session.blame(answers, position, device="cpu", **fields)


def test_blame_is_the_kl_that_goes_when_the_step_does(cut: Session) -> None:
    """By whole forwards of models made by hand; block 6 is block 7 where block 3 stays."""
    answers, blame = blamed(cut)
    ids = [*b"The for statement is", *(token.id for token in answers.original[:2])]
    p, token = said(cut.opened.model, ids), answers.original[2].id
    all_steps = said(cut.model, ids)
    without_first, without_second = surgery.open("demo"), surgery.open("demo")
    without_first.scale("model.layers[7].mlp", factor=0.3)
    without_second.remove("model.layers[3]")
    for step, other in zip(blame.steps, (without_first, without_second), strict=False):
        q = said(other.model, ids)
        assert step.blame == pytest.approx(kl(p, all_steps) - kl(p, q), abs=1e-5)
        assert step.gain == pytest.approx(float(q[token] - all_steps[token]), abs=1e-4)
    assert blame.steps[2].blame == pytest.approx(0, abs=1e-6)
    assert blame.effect == pytest.approx(answers.original[2].kl, rel=1e-3)
    assert sum(abs(step.share or 0) for step in blame.steps) == pytest.approx(1)
    assert blame.interaction == pytest.approx(blame.effect - sum(step.blame or 0 for step in blame.steps))


def test_blame_on_the_edited_models_text(cut: Session) -> None:
    """Both read what the edited model wrote; beyond the divergence the original's likeliest token counts."""
    answers, blame = blamed(cut, 5, of="edited")
    assert answers.divergence is not None and answers.divergence < 5
    assert blame.effect == pytest.approx(answers.edited[5].kl, rel=1e-3) and blame.of == "edited"


def test_a_step_that_others_stand_on_says_so() -> None:
    """It is not left out; the others are measured."""
    session = surgery.open("demo")
    session.duplicate("model.layers[4]")
    session.scale("model.layers[5].mlp", factor=0.5)
    _, blame = blamed(session)
    first, second = blame.steps
    assert first.blame is None and first.share is None and first.refused is not None
    assert "Step 2 cannot be made without it" in first.refused and "works on what it made" in first.refused
    assert second.refused is None and second.share == pytest.approx(1, abs=1e-9)


def test_it_is_about_the_state_that_was_asked(cut: Session) -> None:
    """Wherever the session went since; a state that was deleted is refused."""
    answers, blame = blamed(cut)
    here = cut.history.current
    cut.goto(0)
    again = cut.blame(answers, 2, device="cpu")
    assert [step.blame for step in again.steps] == [step.blame for step in blame.steps]
    state = cut.remove("model.layers[0]")
    gone = cut.ask("a", tokens=1, device="cpu")
    cut.goto(here)
    cut.history.delete(state.id)
    with pytest.raises(SurgeryError, match="no such state"):
        cut.blame(gone)


def test_nothing_of_the_session_changes(cut: Session) -> None:
    """Reverting is done on shells."""
    before = untouched(cut.opened.model), cut.fingerprint(), cut.history.current, len(list(cut.history))
    blamed(cut)
    assert before == (
        untouched(cut.opened.model),
        cut.fingerprint(),
        cut.history.current,
        len(list(cut.history)),
    )


def test_stop_and_progress(cut: Session) -> None:
    """Each step is told, and Stop is heard before the next."""
    answers, _ = blamed(cut)
    told: list[str] = []
    cut.blame(answers, 2, device="cpu", progress=lambda _, label: told.append(label))
    assert told == [*(f"without step {number} of 3" for number in (1, 2, 3)), "with all steps", "measured"]
    stop = threading.Event()
    with pytest.raises(Stopped):
        cut.blame(answers, 2, device="cpu", progress=lambda *_: stop.set(), stop=stop)


def test_what_has_no_blame_is_refused(cut: Session) -> None:
    """A position that is not there, another's text, and answers of the original."""
    answers, _ = blamed(cut)
    for position in (-1, 8):
        with pytest.raises(SurgeryError, match="no such position"):
            cut.blame(answers, position)
    with pytest.raises(SurgeryError, match="whose text"):
        cut.blame(answers, 0, "nobody")  # type: ignore[arg-type]
    session = surgery.open("demo")
    with pytest.raises(SurgeryError, match="no step was made"):
        session.blame(session.ask("a", tokens=1, device="cpu"))


def test_blame_is_plain_data(cut: Session) -> None:
    """JSON with every step as a script has it."""
    _, blame = blamed(cut)
    data = json.loads(json.dumps(blame.to_dict(), allow_nan=False))
    assert [item["number"] for item in data["steps"]] == [1, 2, 3]
    assert data["steps"][1]["step"]["operation"] == "scale" and data["unit"] == "nats"
