"""A script without one of its steps: later steps find their modules, or say why they cannot."""

from __future__ import annotations

from collections.abc import Callable

import pytest

import surgery
from surgery import Session, SurgeryError
from surgery.fingerprint import Fingerprinter
from surgery.reverting import Reverted, Reverting
from tests.surgery.states import untouched
from tests.zoo import ZOO

Steps = Callable[[Session], object]


def session(*steps: Steps, name: str = "llama") -> Session:
    """A small model after these steps."""
    made = surgery.open(*ZOO[name]())
    for step in steps:
        step(made)
    return made


def without(number: int, *steps: Steps, name: str = "llama") -> Reverted:
    """The model after the steps without one."""
    made = session(*steps, name=name)
    return Reverting(made, made.history.current).without(number)


def same(reverted: Reverted, *steps: Steps, name: str = "llama") -> bool:
    """Whether it is what these steps make by hand."""
    return Fingerprinter()(reverted.model) == session(*steps, name=name).fingerprint()


def test_a_step_finds_its_block_where_it_is_without_the_removal() -> None:
    """Block 2 is called 1 after the removal, and 2 without it; the removal finds the same block anyway."""
    remove = lambda s: s.remove("model.layers[0]")  # noqa: E731
    scale = lambda s: s.scale("model.layers[1].mlp", factor=0.5)  # noqa: E731
    assert same(without(1, remove, scale), lambda s: s.scale("model.layers[2].mlp", factor=0.5))
    assert same(without(2, remove, scale), remove)
    assert same(without(3, remove, scale), remove, scale)


def test_a_step_finds_its_block_where_it_is_without_the_move() -> None:
    """And without the swap."""
    scale = lambda s: s.scale("model.layers[3]", factor=0.5)  # noqa: E731
    moved = without(1, lambda s: s.move("model.layers[0]", to="model.layers[3]", place="after"), scale)
    assert same(moved, lambda s: s.scale("model.layers[0]", factor=0.5))
    swapped = without(1, lambda s: s.swap("model.layers[1]", other="model.layers[3]"), scale)
    assert same(swapped, lambda s: s.scale("model.layers[1]", factor=0.5))


def test_what_was_wrapped_is_found_without_its_wrapper() -> None:
    """A weight under an adapter, by the adapter's path."""
    path = "model.layers[1].self_attn.q_proj"
    found = without(1, lambda s: s.attach(path, "lora", rank=2), lambda s: s.scale(path, factor=0.5))
    assert same(found, lambda s: s.scale(path, factor=0.5))


def test_what_was_replaced_is_found_again() -> None:
    """A tied block is a new module in the place of the one that was there."""
    tie = lambda s: s.tie("model.layers[3]", to="model.layers[2]")  # noqa: E731
    found = without(1, tie, lambda s: s.remove("model.layers[3]"))
    assert same(found, lambda s: s.remove("model.layers[3]"))


def test_what_another_step_made_is_found_at_its_new_place() -> None:
    """The copy that step 2 makes is one further on without step 1."""
    found = without(
        1,
        lambda s: s.remove("model.layers[0]"),
        lambda s: s.duplicate("model.layers[1]"),
        lambda s: s.scale("model.layers[2].mlp", factor=0.5),
    )
    assert same(
        found,
        lambda s: s.duplicate("model.layers[2]"),
        lambda s: s.scale("model.layers[3].mlp", factor=0.5),
    )


def test_what_only_the_step_made_cannot_be_had_without_it() -> None:
    """The step cannot be reverted alone, and the error says which step stands on it."""
    path = "model.layers[1].self_attn.q_proj"
    with pytest.raises(SurgeryError, match="Step 2 cannot be made without it"):
        without(1, lambda s: s.attach(path, "lora", rank=2), lambda s: s.fold(path))
    with pytest.raises(SurgeryError, match="works on what it made"):
        without(1, lambda s: s.duplicate("model.layers[3]"), lambda s: s.scale("model.layers[4]", factor=0.5))


def test_a_step_with_less_to_do_says_so() -> None:
    """Of two blocks one is there without the copy."""
    found = without(
        1, lambda s: s.duplicate("model.layers[3]"), lambda s: s.scale("model.layers[3:5]", factor=0.5)
    )
    assert same(found, lambda s: s.scale("model.layers[3]", factor=0.5))
    assert found.notes == ("Step 2 is made without 1 of its modules, which are not there.",)


def test_a_module_at_several_paths_is_one() -> None:
    """A reused block keeps both of its paths."""
    made = session(name="reused")
    paths = [path for path, _ in made.model.named_modules(remove_duplicate=False) if path.count(".") == 1]
    head, first = paths[-1], paths[0]
    steps = (lambda s: s.scale(first, factor=0.5), lambda s: s.scale(head, factor=0.9))
    assert same(without(1, *steps, name="reused"), steps[1], name="reused")


def test_nothing_of_the_session_changes_and_any_order_will_do() -> None:
    """Steps may be asked for backwards; the opened model is as it was."""
    made = session(lambda s: s.remove("model.layers[0]"), lambda s: s.scale("model.layers[1]", factor=0.5))
    before = untouched(made.opened.model), made.fingerprint()
    reverting = Reverting(made, made.history.current)
    backwards = [Fingerprinter()(reverting.without(number).model) for number in (3, 2, 1)]
    forwards = [Fingerprinter()(reverting.without(number).model) for number in (1, 2, 3)]
    assert backwards == forwards[::-1] and forwards[2] == made.fingerprint()
    assert before == (untouched(made.opened.model), made.fingerprint())
