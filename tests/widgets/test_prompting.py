"""The prompt bench of the studio: asked, streamed, blamed, stopped; the same figures as Python's."""

from __future__ import annotations

import base64
import threading
from io import BytesIO
from typing import Any

import pytest
from PIL import Image

import surgery
from surgery.prompting import TextAnswers
from tests.widgets.test_studio import send
from widgets import prompting
from widgets.studio import Studio

PROMPT = "The for statement is"


@pytest.fixture
def studio() -> Studio:
    """The demonstration with two edits, and the bench open."""
    studio = Studio(surgery.open("demo"))
    studio.session.scale("model.layers[6].mlp", factor=0.2)
    studio.session.remove("model.layers[2]")
    studio.background.settle(60)
    send(studio.menu, type="run", name="prompt")
    return studio


def ask(studio: Studio, **fields: Any) -> dict[str, Any]:
    """Asks as the panel does, and waits."""
    form = {"prompt": PROMPT, "tokens": 8, "temperature": 0, "seed": 0, "example": None, "image": None}
    send(studio.bench, type="ask", **form | fields)
    studio.background.settle(60)
    state: dict[str, Any] = studio.bench.state
    return state


def test_it_is_opened_and_closed(studio: Studio) -> None:
    """By the command and its key; closed it shows nothing, and keeps what was answered."""
    assert studio.bench.state["open"] and studio.top.state["bench"]
    asked = ask(studio)["asked"]
    send(studio.bench, type="close")
    assert studio.bench.state == {"open": False} and not studio.top.state["bench"]
    send(studio.centre, type="key", key="Q")
    assert studio.bench.state["asked"] == asked == PROMPT


def test_answers_are_those_of_python(studio: Studio) -> None:
    """Texts, tints, the divergence and its sentence."""
    state = ask(studio)
    answers = studio.session.ask(PROMPT, tokens=8)
    assert isinstance(answers, TextAnswers)
    for column, tokens in zip(state["columns"], (answers.original, answers.edited), strict=True):
        assert "".join(item["text"] for item in column["tokens"]).replace("·", " ") == "".join(
            token.text for token in tokens
        ).replace("\n", "↵")
    assert state["divergence"] == answers.divergence and not state["running"] and not state["stale"]
    assert f"KL {answers.original[2].kl:.3g} nats" in state["columns"][0]["tokens"][2]["tip"]
    assert studio.session.steps and len(list(studio.session.history)) == 3  # nothing was done to the model


def test_tokens_come_as_they_are_written(studio: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each drawing has more of them, on both sides, with the divergence once it is there."""
    monkeypatch.setattr(prompting, "EVERY_S", 0.0)
    seen: list[tuple[int, int, int | None]] = []

    def drawn(change: Any) -> None:
        state = change["new"]
        if state.get("running") and state.get("columns"):
            one, two = (len(column["tokens"]) for column in state["columns"])
            seen.append((one, two, state["divergence"]))

    studio.bench.observe(drawn, "state")
    final = ask(studio)
    counts = [one for one, _, _ in seen]
    assert counts == sorted(counts) and set(counts) == set(range(1, 9))
    assert seen[-1][2] == final["divergence"]


def test_a_token_asks_who_is_to_blame(studio: Studio) -> None:
    """A bar per step with Python's figures; the token is marked."""
    ask(studio)
    send(studio.bench, type="blame", side="original", position=2)
    studio.background.settle(60)
    state = studio.bench.state
    wanted = studio.session.blame(studio.session.ask(PROMPT, tokens=8), 2)
    assert [step["words"] for step in state["blame"]["steps"]] == [step.words for step in wanted.steps]
    assert max(abs(step["part"]) for step in state["blame"]["steps"]) == 1.0
    assert state["chosen"] == {"side": "original", "position": 2}
    assert state["blame"]["title"].startswith("Position 2, where the original says")
    ask(studio)
    assert studio.bench.state["blame"] is None and studio.bench.state["chosen"] is None


def test_answers_of_another_state_say_so(studio: Studio) -> None:
    """And blame is still about the state that was asked."""
    ask(studio)
    studio.session.undo()
    studio.background.settle(60)
    studio.refresh()
    assert studio.bench.state["stale"]
    send(studio.bench, type="blame", side="edited", position=1)
    studio.background.settle(60)
    assert len(studio.bench.state["blame"]["steps"]) == 2


def test_without_a_step_nobody_is_to_blame() -> None:
    """It says so, and measures nothing."""
    studio = Studio(surgery.open("demo"))
    send(studio.centre, type="key", key="Q")
    ask(studio, tokens=2)
    send(studio.bench, type="blame", side="original", position=0)
    studio.background.settle(60)
    assert "none is to blame" in studio.top.state["notice"]["text"] and studio.bench.state["blame"] is None


def test_stop_keeps_what_was_written(studio: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    """The bar goes, the tokens stay, and the sentence says that it was stopped."""
    begun, go_on = threading.Event(), threading.Event()
    written = prompting.Prompting._written

    def slow(self: Any, run: Any, side: Any, token: Any) -> None:
        written(self, run, side, token)
        if len(run.tokens["original"]) == 3:
            begun.set()
            go_on.wait(60)

    monkeypatch.setattr(prompting.Prompting, "_written", slow)
    send(studio.bench, type="ask", prompt=PROMPT, tokens=40, temperature=0, seed=0)
    assert begun.wait(60)
    assert studio.bench.state["running"] and studio.top.state["evaluating"]["label"].startswith("Answering")
    send(studio.bench, type="stop")
    go_on.set()
    studio.background.settle(60)
    state = studio.bench.state
    assert state["sentence"].endswith("Stopped.") and not state["running"]
    assert len(state["columns"][0]["tokens"]) == 3 and studio.top.state["evaluating"] is None


def test_what_is_refused_is_said_at_the_top(studio: Studio) -> None:
    """In the words of Python; nothing stays that looks like an answer."""
    state = ask(studio, prompt="a" * 1024)
    assert "leaves no room" in studio.top.state["notice"]["text"]
    assert not state["running"] and state.get("asked") is None


def test_images_and_examples_are_asked() -> None:
    """A file that was sent, or one of the held-out digits; what is no image is refused."""
    studio = Studio(surgery.open("demo-cnn"))
    studio.session.scale("stage1[1]", factor=0.2)
    studio.background.settle(60)
    send(studio.centre, type="key", key="Q")
    assert (studio.bench.state["takes"], studio.bench.state["writes"]) == ("image", False)
    assert studio.bench.state["examples"] > 400
    shown = ask(studio, prompt="", example=3)
    assert shown["rows"][0]["rank"] == "1" and "Right is" in shown["sentence"]
    send(studio.bench, type="blame", side="original", position=0)
    studio.background.settle(60)
    assert studio.bench.state["blame"]["steps"][0]["part"] == 1.0
    file = BytesIO()
    Image.new("L", (16, 16), 90).save(file, "PNG")
    sent = {"name": "grey.png", "data": base64.b64encode(file.getvalue()).decode()}
    assert "no image processor" in ask(studio, prompt="", image=sent)["notes"][0]
    ask(studio, prompt="", image={"name": "bad.png", "data": base64.b64encode(b"no image").decode()})
    assert "bad.png: the image cannot be read" in studio.top.state["notice"]["text"]


def test_a_skeleton_says_that_it_answers_nothing() -> None:
    """Instead of a form."""
    studio = Studio(surgery.open("demo", skeleton=True))
    send(studio.centre, type="key", key="Q")
    assert "without weights" in studio.bench.state["reason"]
