"""The history is a tree, and any state of it can be returned to with its very objects."""

import pytest

import surgery
from surgery import SurgeryError
from surgery.history import History
from surgery.journal import Journal
from surgery.operations.remove import Remove
from tests.surgery.states import run, snapshot
from tests.zoo import ZOO

STEP = Remove(targets="blocks[0]")


@pytest.fixture
def slots() -> dict[str, int]:
    """What the steps below change."""
    return {"n": 0}


@pytest.fixture
def history(slots: dict[str, int]) -> History:
    """0 → 1 → 2, and beside 2 a branch 1 → 3; then 0 → 4. Current is 4."""
    made = History()

    def add() -> None:
        journal = Journal()
        journal.touch(slots)["n"] = made.next_id()
        made.add(STEP, journal)

    add()
    add()
    made.undo()
    add()
    made.goto(0)
    add()
    return made


def test_states_form_a_tree(history: History) -> None:
    """A step made after an undo is a branch; what was undone stays."""
    tree = {state.id: [child.id for child in state.children] for state in history}
    assert tree == {0: [1, 4], 1: [2, 3], 2: [], 3: [], 4: []}
    assert list(tree) == [0, 1, 2, 3, 4]
    assert [state.id for state in history.current.lineage()] == [0, 4]


@pytest.mark.parametrize("start", range(5))
@pytest.mark.parametrize("end", range(5))
def test_goto_leads_from_anywhere_to_anywhere(
    history: History, slots: dict[str, int], start: int, end: int
) -> None:
    """Up to the common ancestor and down: the slots hold what that state had left in them."""
    assert history.goto(start).id == slots["n"] == start
    assert history.goto(end) is history.current
    assert history.current.id == slots["n"] == end


def test_redo_follows_the_way_last_taken(history: History, slots: dict[str, int]) -> None:
    """After a walk to a branch and back up, redo goes down that branch again."""
    history.goto(2)
    history.undo()
    history.undo()
    assert history.current.id == 0 and history.can_redo
    history.redo()
    history.redo()
    assert history.current.id == slots["n"] == 2
    history.goto(3)
    history.undo()
    assert history.redo().id == 3


def test_a_new_step_is_what_redo_leads_to(history: History) -> None:
    """A step made after an undo takes the place of what was undone."""
    history.undo()
    assert history.redo().id == 4
    assert not history.can_redo


def test_ends_are_refused(history: History, slots: dict[str, int]) -> None:
    """Nothing to undo at the base, nothing to redo at a leaf, no state of an unknown id; all stays."""
    with pytest.raises(SurgeryError, match="nothing to redo"):
        history.redo()
    with pytest.raises(SurgeryError, match="no such state; got 5"):
        history.goto(5)
    assert history.current.id == slots["n"] == 4
    history.goto(0)
    with pytest.raises(SurgeryError, match="nothing to undo"):
        history.undo()
    assert history.current.id == slots["n"] == 0


def test_ids_are_never_given_twice(history: History) -> None:
    """The id announced is the one given, on whatever branch."""
    history.goto(2)
    announced = history.next_id()
    assert history.add(STEP, Journal()).id == announced == 5


def test_long_histories_are_walked() -> None:
    """A search that makes thousands of steps can still ask for its lineage and go back to the start."""
    history, slots = History(), {"n": 0}
    for number in range(1, 3001):
        journal = Journal()
        journal.touch(slots)["n"] = number
        history.add(STEP, journal)
    assert len(history.current.lineage()) == 3001
    history.goto(0)
    assert slots["n"] == 0
    history.goto(3000)
    assert slots["n"] == 3000


def test_branches_of_a_model_give_back_their_objects() -> None:
    """Walking between two branches, each state has the objects, key order, aliases and outputs it had."""
    model, inputs = ZOO["tied_head"]()
    session = surgery.open(model, inputs)
    known = {}

    def note() -> None:
        known[session.history.current.id] = (snapshot(session.model), run(session.model, inputs).tolist())

    note()
    session.remove("blocks[1]")
    note()
    session.tie("blocks[2]", to="blocks.0")
    note()
    session.goto(0)
    session.attach("blocks.3.up", rank=2)
    note()
    session.merge("blocks[0:2]")
    note()
    for state in (2, 4, 1, 3, 0, 4, 2, 0):
        session.goto(state)
        assert (snapshot(session.model), run(session.model, inputs).tolist()) == known[state]
        assert len(session.steps) == len(session.history.current.lineage()) - 1


def test_goto_takes_a_state_as_well_as_its_id() -> None:
    """What an operation returned can be gone back to."""
    model, inputs = ZOO["tied_head"]()
    session = surgery.open(model, inputs)
    first = session.remove("blocks[1]")
    session.remove("blocks[1]")
    assert session.goto(first) is first is session.history.current
    assert len(session.model.get_submodule("blocks")._modules) == 3


def test_a_branch_is_forgotten(history: History) -> None:
    """With all that was made from it; neither redo nor goto finds it again."""
    history.goto(0)
    history.delete(1)
    assert [state.id for state in history] == [0, 4]
    with pytest.raises(SurgeryError, match="no such state"):
        history.goto(2)


def test_what_the_current_state_stands_on_stays(history: History) -> None:
    """The base, its own ancestors, and itself."""
    for needed in (0, 4):
        with pytest.raises(SurgeryError, match="stands on this one"):
            history.delete(needed)
    history.goto(2)
    history.goto(0)
    history.delete(1)
    assert not history.can_redo
