"""Plans take the cheapest edits that go together, say exactly what they save, and are applied whole."""

from __future__ import annotations

import math
import threading

import pytest
import torch
from torch import nn

import surgery
from graph.costs import costs
from surgery import SurgeryError
from surgery.budget import Budget
from surgery.budget.candidates import candidates
from surgery.budget.trials import drawn
from surgery.evaluate import Examples, Stopped
from surgery.evaluate.data.examples import Batch
from tests.surgery.budget.conftest import BLOCKS, opened

HELD_OUT = 40
LEAST_HELD = 31
"""Of forty plans, nine of ten of which lie within their bands, so many do 99 times of 100 (binomial)."""


@pytest.fixture
def budget(swept: surgery.Session, shown: Examples) -> Budget:
    """That of the session which stays as it is."""
    return swept.budget(examples=shown, device="cpu")


def test_candidates_are_ranked_by_what_they_cost_for_what_they_save(swept: surgery.Session) -> None:
    """Both sweeps are in it, and what gains comes before what loses."""
    found = candidates(swept, swept.history.current.sweeps.values(), "parameters")
    assert {item.step.name for item in found} == {"remove", "tie"} and len(found) == 2 * BLOCKS - 1
    assert [item.price for item in found] == sorted(item.price for item in found)


def test_no_two_edits_of_a_plan_are_about_one_module(budget: Budget) -> None:
    """A block is not removed and tied, and no block is in two ties."""
    for chosen in (budget.ladder.taken, *drawn(budget.ranked, len(budget), 3)):
        touched = [path for item in chosen for path in sorted(item.touches)]
        assert len(touched) == len(set(touched))


@pytest.mark.parametrize("of", ["parameters", "bytes", "macs"])
def test_what_a_plan_saves_is_what_making_it_saves(
    session: surgery.Session, shown: Examples, of: str
) -> None:
    """Exactly, of each number of edits."""
    budget = session.budget(of, examples=shown, device="cpu")
    for count in (1, 2, len(budget)):
        plan = budget.at(count)
        after = plan.apply()
        assert after.graph is not None and costs(after.graph) == plan.after
        session.goto(budget.state)


def test_a_plan_has_the_fewest_edits_that_reach_its_size(budget: Budget) -> None:
    """One less would leave more."""
    for percent in (5, 20, 40):
        plan = budget.to(f"-{percent} %")
        limit = plan.before.parameters * (1 - percent / 100)
        assert plan.after.parameters <= limit < budget.at(len(plan.steps) - 1).after.parameters
    assert not budget.to("100 %").steps


def test_what_cannot_be_saved_is_refused_with_the_nearest_that_can(budget: Budget) -> None:
    """Which then can be asked for."""
    most = budget.at(len(budget))
    with pytest.raises(SurgeryError, match=f"with all {len(budget)}"):
        budget.to("-99 %")
    assert budget.to(most.after.parameters).steps == most.steps


def test_paths_follow_the_blocks_before_them(session: surgery.Session) -> None:
    """Each step finds the block that was measured, whatever it is called by then."""
    plan = session.budget().at(3)
    origins = {path for item in plan.chosen if item.step.name == "remove" for path in item.touches}
    plan.apply()
    left = set(session.origins.values())
    assert origins and not origins & left
    assert len(session.steps) == 3 == len(plan.steps)


def test_a_plan_of_another_state_is_refused(session: surgery.Session) -> None:
    """It was measured on the one that was swept; back there it is right again."""
    plan = session.budget().at(2)
    session.remove("model.layers.0")
    with pytest.raises(SurgeryError, match=r"s\.goto\(0\)"):
        plan.apply()
    session.undo()
    plan.apply()
    assert len(session.steps) == 2


def test_one_edit_is_expected_to_do_what_it_was_measured_to_do(budget: Budget) -> None:
    """With the interval of its measurement."""
    item, plan = budget.ladder.taken[0], budget.at(1)
    assert item.figure.before is not None and item.figure.interval is not None
    assert plan.expected.value == item.figure.after
    assert plan.expected.low == item.figure.before + item.figure.interval.low
    assert plan.measured == item.figure


def test_measuring_a_plan_gives_what_making_and_evaluating_it_gives(
    session: surgery.Session, shown: Examples
) -> None:
    """The state stays as it is meanwhile, and knows what was measured."""
    plan = session.budget(examples=shown, device="cpu").at(3)
    before = session.fingerprint()
    assert plan.outcome is None
    found = plan.measure()
    assert session.fingerprint() == before and plan.measured == found.figure
    plan.apply()
    report = session.evaluate(math.inf, shown, "cpu")
    assert report[found.figure.name].after == pytest.approx(found.figure.after, rel=1e-6)


def test_a_measured_value_outside_the_band_is_called_an_interaction(budget: Budget) -> None:
    """In words that say which way; one inside is not."""
    plan = budget.at(3)
    found = plan.measure()
    assert found.interaction == (found.figure.after not in plan.expected)
    assert ("interaction" in str(found)) == found.interaction
    again = budget.at(3).expected
    assert (again.low, again.high) == (plan.expected.low, plan.expected.high), "the band is that of before"
    high = plan.expected.high
    worse = type(found)(found.figure, type(plan.expected)(found.figure, 1.0, 0.5, 1.5, 20, True), True)
    assert high > 0 and "cost more than the band" in str(worse)


def test_calibrating_measures_plans_and_keeps_them_with_the_state(
    session: surgery.Session, shown: Examples
) -> None:
    """Each once; a budget made later of the same state knows them."""
    budget = session.budget(examples=shown, device="cpu")
    known = budget.calibrate(math.inf, 12)
    assert len(known.tried) == 12 == len({trial.keys for trial in session.history.current.trials})
    again = session.budget(examples=shown, device="cpu")
    assert again.interaction.is_calibrated and len(again.interaction.tried) == 12
    assert again.at(4).expected.calibrated


def test_stopping_a_calibration_keeps_what_was_measured(session: surgery.Session, shown: Examples) -> None:
    """Before anything was measured it is Stopped."""
    budget, stop = session.budget(examples=shown, device="cpu"), threading.Event()
    found = budget.calibrate(math.inf, 12, stop=stop, progress=lambda part, _: part > 0.2 and stop.set())
    assert 0 < len(found.tried) < 12
    other = opened(shown, "remove").budget(examples=shown, device="cpu")
    with pytest.raises(Stopped):
        other.calibrate(stop=stop)


def test_the_band_holds_nine_of_ten_plans_that_were_not_measured_before(
    swept: surgery.Session, shown: Examples
) -> None:
    """On a real model: rank-ordered and random plans; short of it by no more than chance explains."""
    budget = swept.budget(examples=shown, device="cpu")
    known = budget.calibrate(math.inf, 24, seed=0)
    seen = {item.keys for item in known.tried}
    own = [budget.ladder.taken[:count] for count in range(2, len(budget) + 1)]
    others = [*own, *drawn(budget.ranked, len(budget), 1)]
    fresh = [plan for plan in others if frozenset(item.key for item in plan) not in seen][:HELD_OUT]
    expected = [budget.expected(plan) for plan in fresh]
    held = 0
    for plan, band in zip(fresh, expected, strict=True):
        held += budget.weigh(plan, budget._placed(plan)).after in band
    del swept.history.current.trials[len(known.tried) :]
    assert len(fresh) == HELD_OUT and held >= LEAST_HELD


def test_a_plan_said_as_text_has_its_size_band_and_edits(budget: Budget) -> None:
    """Edits are named as in the state that was swept."""
    plan = budget.at(2)
    said = str(plan).splitlines()
    assert said[0].startswith("parameters ") and "by 2 edits" in said[0]
    assert " to " in said[1] and budget.by in said[1]
    assert all(surgery.script.python_of(item.step) in str(plan) for item in plan.chosen)


def test_data_other_than_the_sweeps_are_refused(session: surgery.Session) -> None:
    """A figure of other examples says nothing beside the band."""
    with pytest.raises(SurgeryError, match="other data"):
        session.budget(device="cpu").at(2).measure()


def test_what_a_function_measured_is_measured_by_it(shown: Examples) -> None:
    """A sweep by a task of the user's is gone on with by the same."""

    def length(model: nn.Module, batch: Batch) -> torch.Tensor:
        return model(batch.ids).logits.float().norm(dim=-1).mean(dim=-1)

    session = opened(shown)
    session.sweep("remove", "model.layers[*]", examples=shown, device="cpu", budget_s=0, tasks=[length])
    budget = session.budget(examples=shown, device="cpu", tasks=[length])
    assert budget.at(2).measure().figure.name == budget.by == "length"


def test_without_a_sweep_there_is_no_budget() -> None:
    """The sentence says what to do."""
    from tests.surgery.evaluate.conftest import decoder

    with pytest.raises(SurgeryError, match=r"s\.sweep"):
        surgery.open(decoder()).budget()


def test_a_state_keeps_the_last_sweep_of_each_operation(shown: Examples) -> None:
    """And shows the latest of all, of whichever operation."""
    session = opened(shown, "remove", "tie", "remove")
    state = session.history.current
    assert list(state.sweeps) == ["tie", "remove"] and state.sweep is state.sweeps["remove"]
