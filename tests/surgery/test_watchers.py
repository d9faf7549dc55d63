"""Who is told of news in a history."""

import gc

import surgery
from surgery.watchers import Watchers
from tests.zoo import ZOO


class Ear:
    """Counts how often it was told."""

    def __init__(self) -> None:
        self.heard = 0

    def told(self) -> None:
        self.heard += 1


def test_told_until_removed_or_gone() -> None:
    """A bound method is called while its object lives and until it is taken away; nothing keeps it alive."""
    watchers, kept, dropped = Watchers(), Ear(), Ear()
    watchers.add(kept.told)
    watchers.add(dropped.told)
    watchers.tell()
    assert (kept.heard, dropped.heard) == (1, 1)
    del dropped
    gc.collect()
    watchers.tell()
    watchers.remove(kept.told)
    watchers.tell()
    assert kept.heard == 2


def test_each_change_of_a_session_is_told_once() -> None:
    """Applying, undoing, redoing, going, deleting; not a preview, and not what was refused."""
    model, inputs = ZOO["llama"]()
    session, ear = surgery.open(model, inputs), Ear()
    session.history.watchers.add(ear.told)
    session.preview("remove", "model.layers[1]")
    assert ear.heard == 0
    session.remove("model.layers[1]")
    session.undo()
    session.redo()
    session.goto(0)
    session.history.delete(1)
    assert ear.heard == 5
