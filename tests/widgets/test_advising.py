"""Advisers in the studio: asked from the panel, the palette and the canvas, and what they colour."""

from __future__ import annotations

import json
from typing import Any

import pytest

import surgery
from surgery.evaluate import token_windows
from tests.widgets.test_studio import select, send
from tests.zoo import ZOO
from widgets.studio import Studio

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def one_thread() -> Any:
    """Tensors this small are computed sooner by one thread than handed to two."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def studio() -> Studio:
    """The small Llama of four blocks, its panel of measures at the advisers."""
    studio = Studio(surgery.open(*ZOO["llama"]()))
    studio.errands.budget_s = 0.1
    send(studio.report, type="tab", name="advice")
    return studio


def asked(studio: Studio, name: str) -> Any:
    """What the panel shows once an adviser was asked."""
    send(studio.report, type="adviser", name=name)
    send(studio.report, type="measure", what="advice")
    studio.background.settle(60)
    return studio.report.state


def test_every_adviser_can_be_chosen(studio: Studio) -> None:
    """With what it says and takes; none has been asked yet."""
    state = studio.report.state
    assert [choice["name"] for choice in state["advice"]["choices"]] == list(surgery.advisers())
    assert state["advice"]["value"] == "block_influence" and state["bars"] is None
    assert "arXiv:2403.03853" in state["advice"]["about"]
    assert state["ask"] == {"what": "advice", "title": "Ask for block influence"}
    send(studio.report, type="adviser", name="no such")
    assert studio.report.state["advice"]["value"] == "block_influence"


def test_an_answer_is_bars_and_a_ranking(studio: Studio) -> None:
    """A bar per block in the order of the tree, the cheapest first beneath; the graph has its colours."""
    state = asked(studio, "weight_norm")
    assert [bar["label"] for bar in state["bars"]["bars"]] == ["0", "1", "2", "3"]
    assert state["bars"]["title"] == "weight norm, lowest first: the cheapest to remove"
    scores = [bar["score"] for bar in state["bars"]["bars"]]
    assert min(scores) == 0.0 and max(scores) == 1.0
    best, found = state["advice"]["best"][0], studio.session.history.current.advice["weight_norm"]
    assert best["label"] == found.ranking[0].items[0].path and best["act"]["operation"] == "remove"
    assert set(studio.centre.state["scores"]) == {f"model.layers.{index}" for index in range(4)}
    assert studio.centre.state["legend"]["title"] == "weight norm"
    choices = {choice["name"]: choice["title"] for choice in studio.centre.state["colour"]["choices"]}
    assert choices["advice:weight_norm"] == "weight norm" and "advice:snip" not in choices
    lines = studio.centre.state["facts"]["model.layers.0"]["lines"]
    assert any(line.startswith("weight norm: ") for line in lines)
    json.dumps(studio.report.state, allow_nan=False)


def test_pairs_are_a_heat_map(studio: Studio) -> None:
    """Numbers of all pairs, labels told apart, and the tie that the first line would be."""
    state = asked(studio, "weight_similarity")
    matrix = state["matrix"]
    assert [item["label"] for item in matrix["items"]] == ["0", "1", "2", "3"] and state["bars"] is None
    assert matrix["rows"][0][0] == 1.0 and matrix["rows"][1][2] == matrix["rows"][2][1]
    assert matrix["low"] <= matrix["rows"][0][1] <= matrix["high"]
    best = state["advice"]["best"][0]
    assert best["act"]["operation"] == "tie" and len(best["act"]["paths"]) == 2
    assert best["label"] == " and ".join(path[-1] for path in best["paths"])
    send(studio.report, type="act", operation="tie", paths=best["paths"])
    studio.background.settle(60)
    assert studio.right.state["dry_run"]["python"].startswith("s.tie(")
    assert studio.session.steps == ()


def test_ends_that_disagree_are_untied_in_one_go(studio: Studio) -> None:
    """By one click, since it changes no output; the state after it has not been asked."""
    examples = token_windows(_ids())
    studio.session.advise("gradient_agreement", examples=examples)
    studio.refresh()
    send(studio.report, type="adviser", name="gradient_agreement")
    (line,) = studio.report.state["advice"]["best"]
    assert line["label"] == "model.embed_tokens = lm_head"
    assert line["act"]["operation"] == "untie" and line["act"]["paths"] == ["lm_head"]
    assert "at once" in line["act"]["tip"]
    send(studio.report, type="act", operation="untie", paths=line["act"]["paths"])
    studio.background.settle(60)
    assert [step.name for step in studio.session.steps] == ["untie"]
    assert studio.report.state["advice"]["best"] == [] and studio.centre.state["scores"] is None
    assert studio.centre.state["colour"]["value"] == "advice:gradient_agreement"
    assert studio.centre.state["colour"]["choices"][-1]["name"] == "advice:gradient_agreement"


def test_a_command_asks_and_colours(studio: Studio) -> None:
    """Every adviser is in the palette; one that was asked already colours at once."""
    names = {command["name"] for command in studio.menu.state["commands"]}
    assert {f"colour:advice:{name}" for name in surgery.advisers()} <= names
    send(studio.menu, type="run", name="colour:advice:stable_rank")
    studio.background.settle(60)
    found = studio.session.history.current.advice["stable_rank"]
    assert studio.centre.state["legend"]["title"] == "stable rank"
    send(studio.centre, type="run", name="colour:none")
    assert studio.centre.state["scores"] is None
    send(studio.centre, type="run", name="colour:advice:stable_rank")
    assert studio.session.history.current.advice["stable_rank"] is found
    assert studio.centre.state["legend"]["title"] == "stable rank"
    send(studio.menu, type="run", name="colour:advice:no such")
    assert studio.desk.colour == "advice:stable_rank"


def test_a_refusal_is_a_notice(studio: Studio) -> None:
    """There are no experts: the top bar says so, and the panel stays as it was."""
    state = asked(studio, "expert_usage")
    assert "there are no experts here" in studio.top.state["notice"]["text"]
    assert state["advice"]["best"] == [] and state["bars"] is None


def test_heads_have_bars_of_their_own(studio: Studio) -> None:
    """Two numbers each, and no step that a line could be."""
    studio.session.advise("similarity", between="heads", budget_s=0)
    studio.refresh()
    send(studio.report, type="adviser", name="similarity")
    labels = [item["label"] for item in studio.report.state["matrix"]["items"]]
    assert labels[:4] == ["0.0", "0.1", "1.0", "1.1"]
    assert all(line["act"] is None for line in studio.report.state["advice"]["best"])


def test_what_cannot_be_made_is_not_prepared(studio: Studio) -> None:
    """An operation that is none of them, or a place that is not there."""
    send(studio.report, type="act", operation="scale", paths=["model.layers.0"])
    send(studio.report, type="act", operation="remove", paths=["nowhere"])
    assert studio.desk.draft is None
    select(studio, "model.layers.1")
    assert studio.desk.selection == ["model.layers.1"]


def _ids() -> Any:
    import torch

    return torch.arange(64).reshape(8, 8) * 5 % 64
