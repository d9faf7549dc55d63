"""Labels joined into units, against networkx; what one forward computes with; groups read off labels."""

import random
from collections.abc import Sequence

import networkx as nx
import pytest
import torch
from torch import nn

from graph import extract
from graph.coupling import NotCoupled, couple, numbers
from graph.coupling.labels import Joined
from graph.tracing import outcomes
from graph.tracing.layers import Layers
from tests.zoo.channels import CHANNELS


class _Plainly:
    """The same as `Joined`, label by label in a graph of networkx."""

    def __init__(self, count: int) -> None:
        self.graph = nx.empty_graph(count)
        self.fixed: set[int] = set()

    def same(self, one: Sequence[int], other: Sequence[int]) -> None:
        self.graph.add_edges_from(zip(one, other, strict=True))

    def units(self, block: range) -> list[frozenset[int] | None]:
        found: list[frozenset[int] | None] = []
        for label in block:
            unit = frozenset(nx.node_connected_component(self.graph, label))
            found.append(None if unit & self.fixed else unit)
        return found


def _piece(chance: random.Random, block: range, length: int) -> Sequence[int]:
    """Labels of a block: some that follow one another, every other one, or any, the same one twice."""
    way = chance.randrange(3)
    start = chance.randint(0, len(block) - length)
    if way == 0:
        return block[start : start + length]
    if way == 1 and 2 * length <= len(block):
        return block[: 2 * length : 2]
    return [chance.choice(block) for _ in range(length)]


@pytest.mark.parametrize("seed", range(40))
def test_units_are_connected_components(seed: int) -> None:
    """Whole blocks, pieces of them and single labels joined in any order: the same units, the same stay."""
    chance = random.Random(seed)
    sizes = [chance.choice((1, 4, 8, 8, 8, 12)) for _ in range(12)]
    joined, plainly = Joined(), _Plainly(sum(sizes))
    blocks = [joined.new(size) for size in sizes]
    for _ in range(chance.randint(0, 14)):
        one, other = chance.choice(blocks), chance.choice(blocks)
        way = chance.randrange(6)
        if way <= 2 and len(one) == len(other):
            pair: tuple[Sequence[int], Sequence[int]] = one, other
        else:
            length = chance.randint(1, min(len(one), len(other)))
            pair = _piece(chance, one, length), _piece(chance, other, length)
        joined.same(*pair)
        plainly.same(*pair)
    if chance.random() < 0.3:
        joined.one(blocks[0])
        plainly.same(blocks[0][:-1], blocks[0][1:])
    if len(blocks[1]) == 12:
        joined.runs(blocks[1], 5)
        for start, stop in ((0, 5), (5, 10), (10, 12)):
            run = blocks[1][start:stop]
            plainly.same(run[:-1], run[1:])
    for _ in range(chance.randint(0, 2)):
        stays = _piece(chance, block := chance.choice(blocks), chance.randint(1, len(block)))
        joined.fix(stays, None)
        plainly.fixed.update(stays)

    expected = [unit for block in blocks for unit in plainly.units(block)]
    found = [unit for units in joined.units(blocks) for unit in units]
    assert [unit == -1 for unit in found] == [unit is None for unit in expected]
    pairs = dict(zip(expected, found, strict=True))
    assert found == [pairs[unit] for unit in expected]
    assert len(set(found)) == len(set(expected))


def test_entries_that_are_not_as_many_are_not_joined() -> None:
    """Nothing of them is, not even as far as they go."""
    joined = Joined()
    one, other = joined.new(4), joined.new(3)
    with pytest.raises(ValueError, match="4 entries"):
        joined.same(one, other)
    assert joined.units([one, other]) == [(0, 1, 2, 3), (4, 5, 6)]


@pytest.mark.parametrize("name", CHANNELS)
def test_numbers_are_those_of_the_coupling(name: str) -> None:
    """Without labels the same operators are seen, with the same numbers."""
    model, inputs = CHANNELS[name]()
    assert numbers(model, inputs) == couple(model, inputs).numbers


@pytest.mark.parametrize("name", ["resnet18", "mobilenet", "unet"])
def test_what_a_trace_found_out_is_not_found_out_again(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """To follow a model that was traced runs no operator the long way, labels or none."""
    model, inputs = CHANNELS[name]()
    kept = outcomes.known_outcomes
    kept.clear()  # in place, since functions look there too
    monkeypatch.setattr(Layers, "key", lambda *_: None)  # traces before may have known the layers
    extract(model, inputs)
    before = dict(kept)
    couple(model, inputs)
    numbers(model, inputs)
    assert before
    assert kept == before


def test_numbers_of_a_forward_that_asks_for_values() -> None:
    """It can't be followed, with labels or without."""

    class Asks(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x if x.sum().item() > 0 else -x

    for followed in (couple, numbers):
        with pytest.raises(NotCoupled):
            followed(Asks(), torch.ones(2, 3))


class _Parts(nn.Module):
    """Channels behind as many that nobody made."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 6, 1)
        self.mixed = nn.Conv2d(12, 4, 1)
        self.head = nn.Conv2d(4, 2, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stem(x)
        return self.head(self.mixed(torch.cat([torch.ones(1, 6, 4, 4), x], 1)))


def test_units_behind_entries_that_stay() -> None:
    """They lie from the sixth entry on in what reads them, and at the start of what writes them."""
    places = [
        [(place.path, place.dim, place.sections) for place in group.places]
        for group in couple(_Parts(), torch.ones(1, 3, 4, 4)).groups
        if group.count > 1
    ]
    assert places == [
        [("stem.weight", 0, ((0, 1),)), ("stem.bias", 0, ((0, 1),)), ("mixed.weight", 1, ((6, 1),))],
        [("mixed.weight", 0, ((0, 1),)), ("mixed.bias", 0, ((0, 1),)), ("head.weight", 1, ((0, 1),))],
    ]
