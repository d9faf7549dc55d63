"""The demonstration decoder is good enough that cutting it costs something one can measure."""

import pytest

import surgery
from surgery.demo.text import part_of, topics


@pytest.fixture(scope="module")
def session() -> surgery.Session:
    """A session whose evaluator keeps its baseline over the tests."""
    return surgery.open("demo")


def test_topics_are_split_by_name() -> None:
    """About one topic in six is held out, by its name alone, and none is in both parts."""
    assert part_of("assignment") == part_of("assignment")
    assert not set(topics("train")) & set(topics("held-out"))
    assert 0.05 < len(topics("held-out")) / len(topics("train")) < 0.3


@pytest.mark.parametrize("index", range(1, 9))
def test_removing_any_middle_block_is_measurable(session: surgery.Session, index: int) -> None:
    """The 95 % paired interval of the change in perplexity excludes zero."""
    session.remove(f"model.layers[{index}]")
    change = session.evaluate(budget_s=0.5)["perplexity"]
    session.undo()
    assert change.interval is not None
    assert change.interval.low > 0


def test_removing_half_doubles_the_perplexity(session: surgery.Session) -> None:
    """Five of ten blocks, spread, cost at least a factor of two."""
    session.remove("model.layers[1:10:2]")
    change = session.evaluate(budget_s=0.5)["perplexity"]
    session.undo()
    assert change.before is not None and change.after > 2 * change.before
