"""Selectors that say how many modules they select: refused where that is wrong, now and in every replay."""

import json

import pytest

import surgery
from surgery import Script, SurgeryError
from surgery.fields import Targets
from tests.zoo import ZOO


@pytest.fixture
def session() -> surgery.Session:
    """A session on four blocks, each with `up` and `down`."""
    return surgery.open(*ZOO["tied_head"]())


def replayed(text: str) -> surgery.Session:
    """A session after the script's steps."""
    model, inputs = ZOO["tied_head"]()
    return surgery.replay(Script.from_json(text), model, inputs=inputs)


def test_the_right_count_goes_through(session: surgery.Session) -> None:
    """Any operation takes it in place of the text, by place and by name, for one module as for many."""
    session.attach(surgery.select("blocks[*].up").expect(4), rank=2)
    session.tie(
        targets=surgery.select("blocks[1]").expect(1), to=surgery.select("blocks[0]").expect(1), start="to"
    )
    assert [step.name for step in session.steps] == ["attach", "tie"]
    assert session.steps[0].targets.paths == tuple(f"blocks.{index}.up" for index in range(4))


def test_a_wrong_count_is_refused_and_changes_nothing(session: surgery.Session) -> None:
    """The sentence says how many there are, which come first, and the two ways out."""
    with pytest.raises(SurgeryError) as refusal:
        session.attach(surgery.select("**.{up,down}").expect(24))
    assert str(refusal.value) == (
        "**.{up,down}: selects another number of modules than expected; got 8: blocks.0.up, blocks.0.down, "
        "blocks.1.up, blocks.1.down and 4 more, expected 24. Try: `.expect(8)`, if these are meant."
    )
    assert session.steps == ()
    with pytest.raises(SurgeryError, match="selects another number of modules"):
        session.preview("attach", surgery.select("**.up").expect(3))


def test_a_class_that_there_are_as_many_of_is_pointed_at(session: surgery.Session) -> None:
    """Where one class among what was found has the count expected, the hint is the selector that takes it."""
    linears = sum(node.class_name == "Linear" for node in session.graph.modules)
    with pytest.raises(SurgeryError) as refusal:
        session.sparsify(surgery.select("**").expect(linears), 0.5)
    assert refusal.value.hint == "`**:Linear`"
    session.sparsify(surgery.select("**:Linear").expect(linears), 0.5)


def test_no_match_is_told_as_ever(session: surgery.Session) -> None:
    """What selects nothing at all has the nearest names for a hint."""
    with pytest.raises(SurgeryError, match="matches nothing in this state"):
        session.remove(surgery.select("blocks[7]").expect(1))


@pytest.mark.parametrize("count", [0, -1, True, 1.0, "4", None])
def test_counts_that_are_none(count: object) -> None:
    """No selector can be held to nothing, to a part or to text."""
    with pytest.raises(SurgeryError, match="expected 1 or more"):
        surgery.select("**").expect(count)  # type: ignore[arg-type]


@pytest.mark.parametrize("texts", [(), (7,), (["a"],)])
def test_what_is_no_selector(texts: tuple[object, ...]) -> None:
    """Nothing, a number and a list are refused by one sentence."""
    with pytest.raises(SurgeryError, match="expected selectors, as text"):
        surgery.select(*texts)  # type: ignore[arg-type]


def test_several_texts_select_what_each_does(session: surgery.Session) -> None:
    """In the order of the tree, each module once."""
    session.attach(surgery.select("blocks[2].up", "blocks[0].up", "blocks.0.up").expect(2))
    assert session.steps[0].targets.paths == ("blocks.0.up", "blocks.2.up")


def test_the_script_says_what_was_expected(session: surgery.Session) -> None:
    """Beside selector and paths, and only where somebody said so; it reads back as it was written."""
    session.remove(surgery.select("blocks[1:3]").expect(2))
    session.remove("blocks[1]")
    text = session.script.to_json()
    steps = json.loads(text)["steps"]
    assert steps[0]["targets"] == {"select": "blocks[1:3]", "paths": ["blocks.1", "blocks.2"], "expect": 2}
    assert steps[1]["targets"] == {"select": "blocks[1]", "paths": ["blocks.1"]}
    assert Script.from_json(text) == session.script
    assert replayed(text).fingerprint() == session.fingerprint()


def test_a_script_by_hand_is_held_to_its_count() -> None:
    """Without paths the count alone decides."""
    made = surgery.open(*ZOO["tied_head"]())
    made.remove("blocks[1]")
    data = json.loads(made.script.to_json())
    data["steps"][0]["targets"] = {"select": "blocks[0:3]", "expect": 2}
    with pytest.raises(SurgeryError, match=r"got 3: blocks.0, blocks.1, blocks.2, expected 2"):
        replayed(json.dumps(data))


def test_a_selector_is_a_value() -> None:
    """Expecting a number makes another selector and leaves the first as it was."""
    one = surgery.select("**")
    assert one.expect(3) == Targets("**", (), 3) and one == Targets("**")
