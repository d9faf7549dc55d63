"""The tab of budgets: plans as the session makes them, measured on release, applied as one step each."""

from __future__ import annotations

from typing import Any

import pytest

import surgery
from tests.widgets.test_studio import send
from tests.zoo import ZOO
from widgets import budgeting
from widgets.studio import Studio


@pytest.fixture
def studio() -> Studio:
    """The studio on the small Llama of four blocks, its blocks swept for removal, at the tab."""
    model, inputs = ZOO["llama"]()
    studio = Studio(surgery.open(model, inputs))
    studio.session.sweep("remove", "model.layers[*]", budget_s=0)
    studio.background.settle(60)
    send(studio.report, type="tab", name="budget")
    studio.background.settle(60)
    return studio


def budget(studio: Studio) -> Any:
    """What the panel shows of it."""
    return studio.report.state["budget"]


def test_without_a_sweep_it_says_where_to_ask() -> None:
    """And nothing is worked out."""
    model, inputs = ZOO["llama"]()
    studio = Studio(surgery.open(model, inputs))
    send(studio.report, type="tab", name="budget")
    assert "budget" not in studio.report.state and "Ask above" in studio.report.state["empty"]


def test_advice_alone_has_suggestions_that_say_so() -> None:
    """Each with Why and Apply, as in Python; no slider, since nothing was measured."""
    model, inputs = ZOO["llama"]()
    studio = Studio(surgery.open(model, inputs))
    studio.session.advise("block_influence", budget_s=0)
    send(studio.report, type="tab", name="budget")
    studio.background.settle(60)
    shown = studio.report.state
    wanted = studio.session.suggest()
    assert shown["budget"] is None and "nothing was measured" in shown["sentence"]
    assert [item["words"] for item in shown["suggestions"]] == [item.words for item in wanted]
    assert wanted and all(item["why"] and not item["measured"] for item in shown["suggestions"])
    send(studio.report, type="suggestion_apply", count=0)
    studio.background.settle(60)
    assert list(studio.session.steps) == [wanted.found[0].step]


def test_the_slider_goes_through_the_plans_that_the_session_makes(studio: Studio) -> None:
    """From none to all, each with what would fade, its amount and its band; nothing that Python lacks."""
    plans = studio.session.budget().plans()
    shown = budget(studio)["rungs"]
    assert len(shown) == len(plans) == 4  # the last block cannot go
    for rung, plan in zip(shown, plans, strict=True):
        assert rung["paths"] == [path for item in plan.chosen for path in sorted(item.touches)]
        assert (rung["value"], rung["low"], rung["high"]) == (
            plan.expected.value,
            plan.expected.low,
            plan.expected.high,
        )
    assert shown[0]["share"] == "0 %" and shown[0]["band"] == ""
    assert shown[2]["edits"] == [f"remove {path.rpartition('.')[2]}" for path in shown[2]["paths"]]


def test_releasing_the_slider_measures_the_plan_and_changes_nothing(studio: Studio) -> None:
    """The value beside the band that was foreseen, and in words whether they part."""
    before = budget(studio)["rungs"][3]
    send(studio.report, type="budget_release", count=3)
    studio.background.settle(60)
    shown = budget(studio)
    rung = shown["rungs"][3]
    assert shown["place"] == 3 and not studio.session.steps and studio.top.state["notice"] is None
    assert rung["said"].startswith("measured ") and (rung["low"], rung["high"]) == (
        before["low"],
        before["high"],
    )
    assert rung["interaction"] == (not rung["low"] <= rung["measured"] <= rung["high"])
    assert ("interaction" in rung["said"]) == rung["interaction"]
    assert len(studio.session.history.current.trials) == 1
    send(studio.report, type="budget_release", count=3)
    studio.background.settle(60)
    assert len(studio.session.history.current.trials) == 1, "what is known is not measured again"


@pytest.mark.parametrize("count", [-1, 99, "2", None, True])
def test_a_place_that_is_none_is_passed_over(studio: Studio, count: object) -> None:
    """Whatever a page may send."""
    send(studio.report, type="budget_release", count=count)
    send(studio.report, type="budget_apply", count=count)
    send(studio.report, type="suggestion_apply", count=count)
    studio.background.settle(60)
    assert not studio.session.steps and not studio.session.history.current.trials


def test_applying_makes_one_step_each_and_the_new_state_has_no_budget(studio: Studio) -> None:
    """Its blocks were not swept; back at the first state the budget is there again."""
    send(studio.report, type="budget_apply", count=2)
    studio.background.settle(60)
    assert [step.name for step in studio.session.steps] == ["remove", "remove"]
    assert "budget" not in studio.report.state
    studio.session.goto(0)
    studio.background.settle(60)
    studio.refresh()
    studio.background.settle(60)
    assert len(budget(studio)["rungs"]) == 4


def test_suggestions_are_those_of_the_session_and_can_be_made(studio: Studio) -> None:
    """With their reasons, and the modules that they are about."""
    shown = studio.report.state["suggestions"]
    found = studio.session.suggest()
    assert [item["words"] for item in shown] == [item.words for item in found]
    assert shown[1]["why"] == list(found[1].why) and shown[1]["paths"]
    send(studio.report, type="suggestion_apply", count=1)
    studio.background.settle(60)
    assert [step.name for step in studio.session.steps] == ["remove"]
    assert studio.session.steps[0].targets.paths == found[1].step.targets.paths  # type: ignore[attr-defined]


def test_what_is_to_be_saved_can_be_chosen(studio: Studio) -> None:
    """Bytes and MACs beside parameters; another word changes nothing."""
    send(studio.report, type="budget_of", of="macs")
    studio.background.settle(60)
    assert budget(studio)["of"] == "macs"
    send(studio.report, type="budget_of", of="latency")
    assert budget(studio)["of"] == "macs"


def test_calibrating_measures_plans_for_the_band(studio: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of four blocks there are few plans; how many were measured is said."""
    assert budget(studio)["rungs"][2]["grounds"].endswith("0 of 9 plans measured")
    monkeypatch.setattr(budgeting, "CALIBRATED_S", 60.0)
    send(studio.report, type="budget_calibrate")
    studio.background.settle(120)
    assert len(studio.session.history.current.trials) >= 2
    now = [plan.expected.grounds() for plan in studio.session.budget().plans()]
    assert [rung["grounds"] for rung in budget(studio)["rungs"]][1:] == now[1:]
    assert not now[2].endswith("0 of 9 plans measured")
    assert studio.top.state["evaluating"] is None and studio.top.state["notice"] is None


def test_a_plan_that_is_refused_is_said_and_takes_nothing(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The state stays; the bar has the sentence."""

    def refused(*_: object) -> None:
        raise surgery.SurgeryError("not today")

    monkeypatch.setattr(surgery.Session, "apply", refused)
    send(studio.report, type="budget_apply", count=2)
    studio.background.settle(60)
    assert not studio.session.steps and "not today" in studio.top.state["notice"]["text"]
