"""A name that an earlier step made go: the hint says which step, and what it is called now."""

from __future__ import annotations

import json

import pytest
from torch import nn

import surgery
from surgery import Script, SurgeryError
from tests.zoo import ZOO


@pytest.fixture
def session() -> surgery.Session:
    """A session on a Llama of four blocks."""
    return surgery.open(*ZOO["llama"]())


def hint(session: surgery.Session, targets: str) -> str:
    """The hint of the refusal of an edit there."""
    with pytest.raises(SurgeryError, match="matches nothing in this state") as refusal:
        session.sparsify(targets, 0.5)
    assert refusal.value.path == targets
    return str(refusal.value.hint)


def test_a_block_that_moved_up(session: surgery.Session) -> None:
    """What was block 3 before two were removed is block 1 now, and so are its parts."""
    session.remove("model.layers[0:2]")
    step = 'step 1, `s.remove("model.layers[0:2]")`'
    assert hint(session, "model.layers.3") == f"`model.layers.1`, as it is called after {step}"
    assert hint(session, "model.layers[3].mlp.up_proj") == (
        f"`model.layers.1.mlp.up_proj`, as it is called after {step}"
    )
    assert hint(session, "model.layers[2:].mlp.up_proj") == (
        f"`model.layers.0.mlp.up_proj, model.layers.1.mlp.up_proj`, as it is called after {step}"
    )


def test_a_block_that_was_taken_out(session: surgery.Session) -> None:
    """Nothing is left of it: the state before the step is named, and going there brings it back."""
    session.sparsify("model.layers[0]", 0.5)
    session.remove("model.layers[3]")
    session.sparsify("model.layers[0]", 0.6)
    assert hint(session, "model.layers.3") == (
        '`s.goto(1)`, the state before step 2, `s.remove("model.layers[3]")`'
    )
    session.goto(1)
    session.sparsify("model.layers.3", 0.5)


def test_blocks_of_which_some_are_left(session: surgery.Session) -> None:
    """The names of those that are, and of how many."""
    session.remove("model.layers[1:3]")
    assert hint(session, "model.layers[2:]") == (
        '`model.layers.1`, the 1 that are left of 2 after step 1, `s.remove("model.layers[1:3]")`'
    )


def test_the_last_step_that_mattered_is_named(session: surgery.Session) -> None:
    """A name that came again after it had gone is followed from its last state; undone branches are none."""
    session.remove("model.layers[0]")
    session.duplicate("model.layers[2]")
    session.undo()
    session.move("model.layers[0]", to="model.layers[2]", place="after")
    session.remove("model.layers[0]")
    # model.layers.2 of the state before step 3 was block 1 of the opened model, moved to the end.
    assert hint(session, "model.layers.2") == (
        '`model.layers.1`, as it is called after step 3, `s.remove("model.layers[0]")`'
    )
    assert hint(session, "model.layers.3").startswith("`model.layers.0`, as it is called after step 1,")


def test_blocks_that_moved_are_followed_by_origin(session: surgery.Session) -> None:
    """Of blocks moved and then cut, each is found where it stands."""
    session.move("model.layers[0]", to="model.layers[3]", place="after")
    session.remove("model.layers[0:2]")
    # In the state before the cut, model.layers.3 was the opened model's first block.
    assert hint(session, "model.layers.3.mlp.up_proj").startswith("`model.layers.1.mlp.up_proj`,")
    origin = session.graph["model.layers.1"].origin
    assert origin == "model.layers.0"


def test_adapters(session: surgery.Session) -> None:
    """A wrapped module lives inside its adapter; what was inside one that is gone has its old name again."""
    up = "model.layers.0.mlp.up_proj"
    session.attach(up, rank=2)
    assert hint(session, f"{up}:Linear").startswith(f"`{up}.base`, as it is called after step 1, `s.attach(")
    session.sparsify(f"{up}.base", 0.5)
    session.detach()
    assert hint(session, f"{up}.base") == f'`{up}`, as it is called after step 3, `s.detach("**")`'
    assert hint(session, "**:LoraLinear") == '`s.goto(2)`, the state before step 3, `s.detach("**")`'
    session.attach(up, rank=2)
    session.fold()
    assert hint(session, f"{up}.base") == f'`{up}`, as it is called after step 5, `s.fold("**")`'


def test_names_that_never_were_have_the_nearest(session: surgery.Session) -> None:
    """As ever: what there is, not what there was."""
    session.remove("model.layers[0]")
    assert hint(session, "model.layers[9]") == "model.layers has 3 children, 0, 1, 2"


def test_previews_say_it_too(session: surgery.Session) -> None:
    """A form filled in before the step gets the same hint."""
    session.remove("model.layers[0]")
    with pytest.raises(SurgeryError) as refusal:
        session.preview("remove", "model.layers[3]")
    assert str(refusal.value.hint).startswith("`model.layers.2`, as it is called after step 1,")


def test_one_module_fields_say_it_too(session: surgery.Session) -> None:
    """`to` of a tie is a name of a state like any other."""
    session.remove("model.layers[0]")
    with pytest.raises(SurgeryError) as refusal:
        session.tie("model.layers[0]", to="model.layers.3")
    assert refusal.value.path == "model.layers.3"
    assert str(refusal.value.hint).startswith("`model.layers.2`,")


def test_a_replay_says_it_too(session: surgery.Session) -> None:
    """A script by hand that goes on using the old names is told the new ones."""
    session.remove("model.layers[0]")
    data = json.loads(session.script.to_json())
    data["steps"].append({"operation": "remove", "targets": "model.layers.3"})
    model, inputs = ZOO["llama"]()
    with pytest.raises(SurgeryError, match="matches nothing in this state") as refusal:
        surgery.replay(Script.from_json(json.dumps(data)), model, inputs=inputs)
    assert str(refusal.value.hint).startswith("`model.layers.2`, as it is called after step 1,")


def test_odd_names_are_escaped() -> None:
    """The name in the hint is a selector that works, whatever characters the module's name has."""

    class Odd(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.blocks = nn.ModuleList(nn.ModuleDict({"a:b": nn.Linear(2, 2)}) for _ in range(3))

    session = surgery.open(Odd())
    session.remove("blocks[0]")
    found = hint(session, r"blocks.2.a\:b")
    assert found.startswith(r"`blocks.1.a\:b`, ")
    session.sparsify(found.split("`")[1], 0.5)
