"""Suggestions say what to do, what it saves and costs and why; each can be made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pytest

import surgery
from surgery import SurgeryError
from surgery.evaluate import Examples, token_windows
from surgery.suggestions import Suggestions
from surgery.suggestions.wording import short_names
from tests.surgery.budget.conftest import BLOCKS, opened
from tests.surgery.evaluate.conftest import decoder, tokens

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def shown() -> Examples:
    """Sixteen windows of sixteen random tokens."""
    return token_windows(tokens(16))


@pytest.fixture
def session(shown: Examples) -> surgery.Session:
    """A decoder of seven blocks, swept by two operations."""
    return opened(shown, "tie", "remove")


@dataclass(frozen=True)
class Item:
    """A module, or a head of one."""

    path: str
    index: int | None = None

    @property
    def paths(self) -> tuple[str, ...]:
        """It alone."""
        return (self.path,)


@dataclass(frozen=True)
class Line:
    """A line of a ranking."""

    rank: int
    items: Sequence[Item]
    value: float


@dataclass(frozen=True)
class Adviser:
    """An adviser's findings, as suggestions read them."""

    edit: str
    ranking: Sequence[Line]
    called: str = "block influence"
    source: str = "Men et al. 2024, arXiv:2403.03853"
    grounds: str = "random tokens; 8 windows, 0.1 s, cpu"
    together: bool = False

    def text(self, value: float) -> str:
        """The number."""
        return f"{value:.2f}"


def test_suggestions_come_from_all_sweeps_of_the_state_best_first(session: surgery.Session) -> None:
    """Those that cost least for what they save; the note says so, and how many more there are."""
    found = session.suggest(5)
    assert len(found) == 5 and found.others == 2 * BLOCKS - 1 - 5
    assert {item.step.name for item in session.suggest(99)} == {"tie", "remove"}
    costs = [row.cost("perplexity") for row in session.history.current.sweeps["remove"].measured]
    removals = [item for item in session.suggest(99) if item.step.name == "remove"]
    assert len(removals) == len(costs) == BLOCKS
    assert "parameters they save" in str(found)


def test_a_suggestion_reads_as_one_line(session: surgery.Session) -> None:
    """What, how much less, at what cost with its interval; modules by the shortest names that tell apart."""
    tied = next(item for item in session.suggest(99) if item.step.name == "tie")
    assert str(tied).startswith(f"{tied.words}: −") and "perplexity" in str(tied) and " ± " in str(tied)
    one, two = tied.words.removeprefix("tie ").split(" and ")
    assert int(two) == int(one) + 1


def test_why_has_figures_intervals_rank_and_examples(session: surgery.Session) -> None:
    """Of what was measured, and beside what."""
    why = " ".join(session.suggest(3)[1].why)
    assert "95 % half-width" in why and "Number 2 of 13 edits" in why
    assert "was tried it is number" in why and "16 windows of" in why and "KL" in why


def test_applying_a_suggestion_makes_its_step(session: surgery.Session) -> None:
    """One step; in another state it is refused, since there nothing is known of it."""
    found = session.suggest(3)
    found[0].apply()
    assert [step.name for step in session.steps] == [found[0].step.name]
    with pytest.raises(SurgeryError, match=r"s\.goto\(0\)"):
        found[1].apply()


def test_what_an_adviser_says_of_a_measured_edit_is_among_its_reasons(session: surgery.Session) -> None:
    """And it is not suggested twice."""
    best = next(item for item in session.suggest(99) if item.step.name == "remove")
    path = best.step.targets.paths[0]  # type: ignore[attr-defined]
    adviser = Adviser("remove", [Line(1, [Item(path)], 0.03)])
    found = session.suggest(99, advice=[adviser])
    told = next(item for item in found if item.words == best.words)
    assert any("block influence 0.03, rank 1 of 1" in reason for reason in told.why)
    assert len(found) == 2 * BLOCKS - 1


def test_what_only_an_adviser_speaks_for_comes_last_and_says_that_it_was_not_measured(
    shown: Examples,
) -> None:
    """A pair is a tie of the later to the earlier; units of modules are passed over."""
    session = opened(shown, "remove")
    pair = Adviser("tie", [Line(1, [Item("model.layers.1"), Item("model.layers.2")], 0.9)])
    heads = Adviser("narrow", [Line(1, [Item("model.layers.1.self_attn", 0)], 0.1)])
    found = session.suggest(99, advice=[heads, pair])
    last = found[len(found) - 1]
    assert last.words == "tie 1 and 2" and not last.measured and "not measured" in str(last)
    assert len(found) == BLOCKS + 1
    last.apply()
    assert session.graph.ties


def test_what_advisers_found_of_the_state_is_taken_unless_other_advice_is_given(shown: Examples) -> None:
    """Block influence was asked: its blocks are proposed, not measured."""
    session = surgery.open(decoder())
    session.advise("block_influence", examples=shown, budget_s=0)
    found = session.suggest(99)
    assert len(found) and not any(suggestion.measured for suggestion in found)
    with pytest.raises(SurgeryError, match=r"s\.sweep"):
        session.suggest(99, advice=[])


def test_without_sweep_or_advice_it_says_what_to_do() -> None:
    """As a refusal."""
    with pytest.raises(SurgeryError, match=r"s\.sweep"):
        surgery.open(decoder()).suggest()


def test_names_are_as_short_as_tells_them_apart() -> None:
    """Segments from the end; blocks of two lists need the lists' names."""
    assert short_names(["a.layers.1", "a.layers.2"]) == {"a.layers.1": "1", "a.layers.2": "2"}
    assert short_names(["stage1.0", "stage2.0"])["stage2.0"] == "stage2.0"


def test_suggestions_are_data(session: surgery.Session) -> None:
    """For programs that read what the command writes."""
    found: Suggestions = session.suggest(2)
    data = found[0].to_dict()
    assert data["words"] == found[0].words and data["step"]["operation"] == found[0].step.name
