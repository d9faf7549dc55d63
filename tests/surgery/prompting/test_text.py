"""Texts of both models after one prompt: what is written, where it parts, and what KL is measured on."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

import surgery
from surgery import Session, SurgeryError
from surgery.evaluate import Stopped
from surgery.evaluate.running import Runner
from surgery.prompting import TextAnswers, Token
from surgery.prompting.writing import draw
from tests.surgery.states import snapshot, untouched
from tests.zoo import ATLAS
from tests.zoo.families import DECODERS, TRANSLATORS, stirred

PROMPT = "The for statement is"


@pytest.fixture(scope="module")
def cut() -> Session:
    """The demonstration decoder with two damages."""
    session = surgery.open("demo")
    session.remove("model.layers[3]")
    session.scale("model.layers[6].mlp", factor=0.3)
    return session


def asked(session: Session, prompt: Any = PROMPT, **fields: Any) -> TextAnswers:
    """What a model that writes answers."""
    answers = session.ask(prompt, device="cpu", **fields)
    assert isinstance(answers, TextAnswers)
    return answers


def kl_by_hand(one: nn.Module, two: nn.Module, ids: list[int]) -> float:
    """KL of what comes after `ids`, by two whole forwards."""
    with torch.no_grad():
        p, q = (
            model.eval()(torch.tensor([ids])).logits[0, -1].double().log_softmax(-1) for model in (one, two)
        )
    return float((p.exp() * (p - q)).sum())


def test_both_texts_are_what_generate_writes(cut: Session) -> None:
    """Greedily and with the cache, by transformers' own loop."""
    answers = asked(cut, tokens=16)
    ids = torch.tensor([list(PROMPT.encode())])
    for model, tokens in ((cut.opened.model, answers.original), (cut.model, answers.edited)):
        with torch.no_grad():
            wanted = model.eval().generate(ids, max_new_tokens=16, do_sample=False)[0, ids.shape[1] :]  # type: ignore[operator]
        assert [token.id for token in tokens] == wanted.tolist()
    assert answers.texts[0] == "".join(token.text for token in answers.original)


def test_kl_is_measured_on_the_text_it_stands_in(cut: Session) -> None:
    """Both models read the original's text for its column, the edited model's for the other."""
    answers = asked(cut, tokens=12)
    place = answers.divergence
    assert place is not None and 0 < place < 10
    for side in ("original", "edited"):
        tokens = answers.tokens(side)
        for position in (0, place, place + 2):
            ids = [*PROMPT.encode(), *(token.id for token in tokens[:position])]
            wanted = kl_by_hand(cut.opened.model, cut.model, ids)
            assert tokens[position].kl == pytest.approx(wanted, rel=1e-3, abs=1e-6)
    assert answers.original[:place] == answers.edited[:place]
    assert answers.original[place].kl == answers.edited[place].kl
    assert answers.original[place + 1].kl != answers.edited[place + 1].kl


def test_without_an_edit_nothing_differs() -> None:
    """Not by the last bit, greedily or drawn."""
    session = surgery.open("demo")
    for temperature in (0.0, 1.3):
        answers = asked(session, tokens=12, temperature=temperature, seed=4)
        assert answers.divergence is None and answers.original == answers.edited
        assert {token.kl for token in answers.original} == {0.0}


def test_draws_are_shared_and_hang_on_the_seed(cut: Session) -> None:
    """The same seed gives the same texts, another gives others."""
    one, two, other = (asked(cut, tokens=24, temperature=1.0, seed=seed).texts for seed in (1, 1, 2))
    assert one == two and one[0] != other[0]


def test_what_is_drawn_is_the_inverse_of_the_distribution() -> None:
    """Equal distributions give equal tokens, frequencies are the probabilities, and zero is never drawn."""
    said = torch.tensor([0.0, 0.5, 0.2, 0.3], dtype=torch.float64).log()
    drawn = [draw(said, 1.0, (place + 0.5) / 1000) for place in range(1000)]
    assert [drawn.count(token) for token in range(4)] == [0, 500, 200, 300]
    assert draw(said, 1.0, 0.0) == 1 and draw(said, 0.0, 0.99) == 1
    assert draw(torch.tensor([0.0, 0.0]).double(), 1.0, 1 - 1e-17) == 1


def test_tokens_are_told_as_they_are_written(cut: Session) -> None:
    """Each side by itself, in order, and the bar goes to its end."""
    told: list[tuple[str, int, Token]] = []
    fractions: list[float] = []
    answers = asked(
        cut,
        tokens=6,
        on_token=lambda *said: told.append(said),
        progress=lambda fraction, _: fractions.append(fraction),
    )
    for side in ("original", "edited"):
        mine = [(place, token) for whose, place, token in told if whose == side]
        assert mine == list(enumerate(answers.tokens(side)))
    assert fractions == sorted(fractions) and fractions[-1] == 1.0


def test_stop_keeps_what_was_written(cut: Session) -> None:
    """Before the first token there is nothing to keep."""
    stop = threading.Event()

    def third(side: str, place: int, token: Token) -> None:
        if place == 2 and side == "edited":
            stop.set()

    answers = asked(cut, tokens=30, on_token=third, stop=stop)
    assert answers.stopped and len(answers.original) == len(answers.edited) == 3
    with pytest.raises(Stopped):
        asked(cut, stop=stop)


def test_nothing_of_the_session_changes(cut: Session) -> None:
    """Neither model, in evaluation mode or not, nor the history."""
    before = snapshot(cut.model), untouched(cut.opened.model), len(list(cut.history)), torch.get_rng_state()
    cut.model.train()
    asked(cut, tokens=3, temperature=0.7)
    assert all(module.training for module in cut.model.modules())
    cut.model.eval()
    after = snapshot(cut.model), untouched(cut.opened.model), len(list(cut.history)), torch.get_rng_state()
    assert before[:3] == after[:3] and torch.equal(before[3], after[3])


@pytest.mark.parametrize("family", ["gpt2", "gemma2", "opt", "mamba", "gemma3", "deepseek"])
def test_with_the_cache_as_without(family: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Families that keep what they read in different ways: every KL is that of whole forwards."""
    make: Callable[[], Any] = DECODERS.get(family) or ATLAS[family]
    session = surgery.open(*make())
    stirred(session.model)
    cached = asked(session, [3, 5, 7, 11], tokens=6)
    monkeypatch.setattr(Runner, "has_cache", False)
    whole = asked(session, [3, 5, 7, 11], tokens=6)
    assert [token.id for token in cached.edited] == [token.id for token in whole.edited]
    assert [token.kl for token in cached.original] == pytest.approx(
        [token.kl for token in whole.original], rel=1e-2, abs=1e-5
    )


def test_a_cache_that_is_wrong_is_not_used(cut: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is compared with a whole forward once, and given up."""
    wanted = asked(cut, tokens=5)
    read = Runner.read_on
    monkeypatch.setattr(Runner, "read_on", lambda self, ids, cache: (read(self, ids, None)[0], object()))
    found = asked(cut, tokens=5)
    assert [token.id for token in found.edited] == [token.id for token in wanted.edited]
    assert [token.kl for token in found.edited] == pytest.approx(
        [token.kl for token in wanted.edited], rel=1e-3
    )


def test_an_encoder_feeds_its_decoder() -> None:
    """The prompt is read by the encoder; the decoder begins with its own token."""
    session = surgery.open(*TRANSLATORS["t5"]())
    session.scale("decoder.block[1]", factor=0.5)
    answers = asked(session, [4, 9, 2, 7], tokens=3)
    start = int(session.opened.model.config.decoder_start_token_id)
    ids = torch.tensor([[4, 9, 2, 7]])
    with torch.no_grad():
        logits = session.opened.model.eval()(input_ids=ids, decoder_input_ids=torch.tensor([[start]])).logits
    assert answers.original[0].id == int(logits[0, -1].argmax()) and answers.original[0].kl > 0


class Running(nn.Module):
    """A causal model of plain torch: each place sees the mean of all before it."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.embed = nn.Embedding(30, 8)
        self.blocks = nn.ModuleList(nn.Linear(8, 8) for _ in range(3))
        self.head = nn.Linear(8, 30)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        x = self.embed(ids).cumsum(1) / torch.arange(1, ids.shape[1] + 1)[:, None]
        for block in self.blocks:
            x = x + torch.tanh(block(x))
        made: torch.Tensor = self.head(x)
        return made


def test_a_model_of_plain_torch_takes_ids() -> None:
    """It has no cache, no tokenizer and no config; text is refused in words."""
    session = surgery.open(Running(), inputs=(torch.tensor([[1, 2, 3]]),))
    session.remove("blocks[1]")
    answers = asked(session, [1, 2, 3], tokens=4)
    assert len(answers.original) == 4 and answers.original[0].text == str(answers.original[0].id)
    assert asked(session, torch.tensor([1, 2, 3]), tokens=4).original == answers.original
    with pytest.raises(SurgeryError, match="came without a tokenizer"):
        session.ask("some text")


def test_texts_end_where_the_model_ends_them() -> None:
    """Its end-of-text is the last token of a side; the other goes on."""
    session = surgery.open("demo")
    session.remove("model.layers[1:4]")
    free = asked(session, tokens=12)
    place = free.divergence
    assert place is not None and place < 10
    session.opened.model.generation_config.eos_token_id = free.edited[place].id  # type: ignore[union-attr]
    answers = asked(session, tokens=12)
    ended = min(
        (at for at, token in enumerate(free.original) if token.id == free.edited[place].id), default=11
    )
    assert len(answers.edited) == place + 1 and len(answers.original) == ended + 1
    assert answers.divergence == place


@pytest.mark.parametrize(
    ("prompt", "fields", "said"),
    [
        ("", {}, "no token to go on from"),
        ([], {}, "no token to go on from"),
        ([300], {}, "tokens that the model does not have"),
        ([-1], {}, "never negative"),
        (["a"], {}, "whole numbers"),
        (3.5, {}, "this is no prompt"),
        ("a" * 1024, {}, "leaves no room"),
        ("a" * 1025, {}, "longer than the model has positions"),
        ("a", {"tokens": 0}, "a number of tokens"),
        ("a", {"temperature": -1.0}, "is no temperature"),
        ("a", {"temperature": float("nan")}, "is no temperature"),
        ("a", {"example": 1}, "one thing is asked"),
        (None, {}, "one thing is asked"),
        (None, {"example": 10**6}, "no such example"),
    ],
)
def test_what_cannot_be_asked_is_refused(
    cut: Session, prompt: Any, fields: dict[str, Any], said: str
) -> None:
    """In a sentence."""
    with pytest.raises(SurgeryError, match=said):
        cut.ask(prompt, **fields)


def test_room_that_is_left_is_used_and_said(cut: Session) -> None:
    """A long prompt shortens the answer."""
    answers = asked(cut, "a" * 1021, tokens=9)
    assert len(answers.original) == 3 and "room for 3 tokens" in answers.notes[0]


def test_a_model_without_weights_answers_nothing() -> None:
    """It says so."""
    with pytest.raises(SurgeryError, match="without weights"):
        surgery.open("demo", skeleton=True).ask("a")


def test_weights_that_are_no_numbers_are_refused() -> None:
    """A NaN is no answer."""
    session = surgery.open("demo")
    session.scale("model.layers[0].mlp", factor=1e38)
    session.scale("model.layers[0].mlp", factor=1e38)
    with pytest.raises(SurgeryError, match="not numbers"):
        session.ask("a", tokens=2)


def test_answers_are_plain_data(cut: Session) -> None:
    """JSON without NaN; the divergence, both texts and every KL are in it."""
    answers = asked(cut, tokens=5)
    data = json.loads(json.dumps(answers.to_dict(), allow_nan=False))
    assert data["kind"] == "text" and data["divergence"] == answers.divergence
    assert [item["kl"] for item in data["edited"]["tokens"]] == [token.kl for token in answers.edited]
