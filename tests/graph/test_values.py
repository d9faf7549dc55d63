"""What depends on values: guessed on shapes, seen on real tensors, known where it is structure."""

import random

import torch
from torch import Tensor, nn

from graph import extract
from tests.graph.traced import modules_called, state_of


class Gate(nn.Module):
    """Takes one of two ways by a value."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two = nn.Linear(4, 4), nn.Linear(4, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.one(x) if x.sum() > 0 else self.two(x)


def test_a_real_run_replaces_the_guess() -> None:
    """On values the way that was taken shows, and nothing is opaque."""
    model = nn.Sequential(Gate(), nn.Linear(4, 2))
    guessed = extract(model, torch.ones(2, 4))
    assert guessed["0"].opaque is not None
    assert modules_called(guessed) == ["0", "1"]
    for sign, way in ((1, "0.one"), (-1, "0.two")):
        seen = extract(model, sign * torch.ones(2, 4), real=True)
        assert seen["0"].opaque is None
        assert modules_called(seen) == [way, "1"]


def test_a_real_run_leaves_everything_as_it_was() -> None:
    """Statistics, inputs, random states, modes and flags stay."""

    class Writes(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.norm, self.drop = nn.BatchNorm1d(4), nn.Dropout(0.5)

        def forward(self, x: Tensor) -> Tensor:
            x.add_(torch.rand(4))
            random.random()
            return self.drop(self.norm(x))

    model, inputs = Writes().train(), torch.randn(3, 4)
    kept, before = inputs.clone(), {name: value.clone() for name, value in model.state_dict().items()}
    state, python, flags = torch.get_rng_state(), random.getstate(), state_of(model)
    extract(model, inputs, real=True)
    assert torch.equal(inputs, kept)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert torch.equal(torch.get_rng_state(), state)
    assert random.getstate() == python
    assert state_of(model) == flags
    assert torch.is_grad_enabled()


def test_a_block_that_asks_where_it_sits_is_not_copied() -> None:
    """Every third block differs, and only its position says so."""

    class Third(nn.Module):
        def __init__(self, layer_idx: int) -> None:
            super().__init__()
            self.layer_idx, self.inner = layer_idx, nn.Linear(3, 3)

        def forward(self, x: Tensor) -> Tensor:
            x = self.inner(x)
            return x.relu() if self.layer_idx % 3 == 2 else x.tanh()

    graph = extract(nn.Sequential(*(Third(i) for i in range(7))), torch.randn(2, 3))
    found = [call.function for call in graph.calls if call.function]
    assert found == ["tanh", "tanh", "relu", "tanh", "tanh", "relu", "tanh"]
    assert [node.class_name for node in graph.modules if node.path.isdigit()] == ["Third"] * 7


def test_whole_numbers_in_small_buffers_are_known() -> None:
    """A size kept in a buffer is structure: what it decides is no guess. Many of them are data."""

    class Pools(nn.Module):
        def __init__(self, count: int) -> None:
            super().__init__()
            self.inner = nn.Linear(4, 4)
            self.register_buffer("size", torch.full((count,), 2))

        def forward(self, x: Tensor) -> Tensor:
            return self.inner(x)[:, : int(self.size[0])]

    known, unknown = (extract(nn.Sequential(Pools(n), nn.Identity()), torch.ones(3, 4)) for n in (1, 1000))
    assert [node.opaque for node in known.modules] == [None] * 4
    assert known.calls[-1].outputs[0].shape == (3, 2)
    assert unknown["0"].opaque is not None
