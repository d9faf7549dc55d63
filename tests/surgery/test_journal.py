"""The journal puts dictionaries back: content, order and the very objects."""

from torch import nn

from surgery.journal import Journal


def items(mapping: dict[str, object]) -> list[tuple[str, int]]:
    """Keys in order with the identity of what they hold."""
    return [(key, id(value)) for key, value in mapping.items()]


def test_undo_and_redo_restore_order_and_objects() -> None:
    """Insertion, deletion and replacement are taken back and made again, any number of times."""
    one, two, three = [1], [2], [3]
    mapping: dict[str, object] = {"a": one, "b": two, "c": three}
    before = items(mapping)
    journal = Journal()
    touched = journal.touch(mapping)
    assert touched is mapping
    del touched["a"]
    touched["b"] = three
    touched["a"] = two
    after = items(mapping)
    assert after != before
    for _ in range(3):
        journal.undo()
        assert items(mapping) == before
        journal.redo()
        assert items(mapping) == after


def test_first_touch_counts() -> None:
    """Touched again after a change, the journal still goes back to before the first."""
    journal, mapping = Journal(), {"a": 1}
    for value in (2, 3):
        journal.touch(mapping)["a"] = value
    journal.undo()
    assert mapping == {"a": 1}
    journal.redo()
    assert mapping == {"a": 3}


def test_equal_dictionaries_are_kept_apart() -> None:
    """Journals go by identity: two empty dictionaries are two."""
    journal = Journal()
    one: dict[str, int] = {}
    two: dict[str, int] = {}
    journal.touch(one)["x"] = 1
    journal.touch(two)["y"] = 2
    journal.undo()
    assert (one, two) == ({}, {})
    journal.redo()
    assert (one, two) == ({"x": 1}, {"y": 2})


def test_what_was_not_touched_stays() -> None:
    """Only announced dictionaries are put back."""
    journal, told, untold = Journal(), {"a": 1}, {"a": 1}
    journal.touch(told)["a"] = 2
    untold["a"] = 2
    journal.undo()
    assert (told, untold) == ({"a": 1}, {"a": 2})


def test_an_empty_journal_does_nothing() -> None:
    """The base of a history has a journal of no changes."""
    journal = Journal()
    journal.undo()
    journal.redo()


def test_steps_over_one_dictionary_nest() -> None:
    """Two journals over the same slots come off in reverse order and go on again in order."""
    mapping, first, second = {"n": 0}, Journal(), Journal()
    first.touch(mapping)["n"] = 1
    second.touch(mapping)["n"] = 2
    second.undo()
    assert mapping == {"n": 1}
    first.undo()
    assert mapping == {"n": 0}
    first.redo()
    second.redo()
    assert mapping == {"n": 2}


def test_a_module_and_its_slots_come_back() -> None:
    """`__dict__` and a dictionary inside it may both be touched; slots keep being the module's own."""
    module = nn.Module()
    module.child = old = nn.Linear(1, 1)
    slots, journal = module._modules, Journal()
    journal.touch(module.__dict__)["note"] = "edited"
    journal.touch(slots)["child"] = nn.Linear(1, 1)
    journal.undo()
    assert module.child is old and not hasattr(module, "note")
    assert module._modules is slots
    journal.redo()
    assert module.child is not old and module.note == "edited"
