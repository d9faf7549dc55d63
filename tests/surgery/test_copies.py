"""Copies made in the background: there at once, apart by the time anybody can write."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Event, Timer

import pytest
import torch
from torch import nn

import surgery
from surgery import copies


class Wide(nn.Module):
    """Two layers of 1.2 MB each that share one weight."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two = nn.Linear(550, 550), nn.Linear(550, 550)
        self.two.weight = self.one.weight

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.two(self.one(x))


@pytest.fixture
def held() -> Iterator[Event]:
    """Copies wait until this event is set."""
    gate = Event()
    yield gate
    gate.set()
    copies.settled()


@pytest.fixture
def session(held: Event, monkeypatch: pytest.MonkeyPatch) -> Iterator[surgery.Session]:
    """A session on a `Wide`, whose copies wait."""
    with ThreadPoolExecutor(1) as pool:
        pool.submit(held.wait)
        monkeypatch.setattr(copies, "_thread", lambda: pool)
        yield surgery.open(Wide(), (torch.randn(2, 550),))
        held.set()


def test_an_untied_weight_is_there_before_it_is_copied(session: surgery.Session, held: Event) -> None:
    """The graph shows no tie and preview counts both while the copy has not begun."""
    assert session.graph.ties
    session.untie("two")
    assert not held.is_set()
    assert not session.graph.ties
    assert (
        session.preview("sparsify", "**", 0.5).before.parameters
        == sum(p.numel() for p in session.opened.model.parameters()) + 550 * 550
    )


def test_the_model_is_handed_out_once_it_is_copied(session: surgery.Session, held: Event) -> None:
    """Whoever has the model can write one weight and leaves the other, and the opened one, alone."""
    session.untie("two")
    held.set()
    model = session.model
    before = model.one.weight.detach().clone()
    assert torch.equal(model.two.weight, before)
    with torch.no_grad():
        model.two.weight.zero_()
    assert torch.equal(model.one.weight, before)
    assert torch.equal(session.opened.model.two.weight, before)


def test_undo_while_a_copy_is_under_way(session: surgery.Session, held: Event) -> None:
    """The tie is back, and redo gives the weight that was copied meanwhile."""
    session.untie("two")
    session.undo()
    assert session.graph.ties
    held.set()
    session.redo()
    model = session.model
    assert model.two.weight.data_ptr() != model.one.weight.data_ptr()
    assert torch.equal(model.two.weight, model.one.weight)


def test_a_copy_that_fails_is_told(
    session: surgery.Session, held: Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The model is not handed out with two weights in one memory."""

    def full(values: torch.Tensor) -> torch.Tensor:
        raise MemoryError("no room")

    monkeypatch.setattr(copies, "_copied", full)
    session.untie("two")
    held.set()
    try:
        with pytest.raises(MemoryError, match="no room"):
            _ = session.model
    finally:
        copies._under_way.clear()


def test_a_small_copy_is_made_at_once() -> None:
    """No thread is asked for it."""
    source = nn.Parameter(torch.randn(8, 8))
    made = copies.copy_of(source, trainable=False)
    assert made.data_ptr() != source.data_ptr() and torch.equal(made, source)
    assert not made.requires_grad


def test_a_copy_that_is_frozen_has_memory_of_its_own(session: surgery.Session, held: Event) -> None:
    """Freezing makes another Parameter around the copy's memory, which is not yet its own."""
    session.untie("two")
    Timer(0.1, held.set).start()
    session.freeze("two")
    one, two = session.model.get_parameter("one.weight"), session.model.get_parameter("two.weight")
    assert one.requires_grad and not two.requires_grad
    assert one.data_ptr() != two.data_ptr()
