"""Blocks that look alike and are not: a copy of one never stands in for another."""

import contextlib
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from graph import extract
from graph.tracing.census import Census
from graph.tracing.keys import Keys
from graph.tree import sites

SHARED = SimpleNamespace(turns=0)


class Block(nn.Module):
    """One linear layer and two ways to go on, of which `first` takes the one."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.inner = nn.Linear(4, 4)
        self.prepare(number)

    def prepare(self, number: int) -> None:
        """Make what the block knows of itself."""

    def forward(self, x: Tensor) -> Tensor:
        x = self.inner(x)
        return x.relu() if self.first(x) else x.tanh()

    def first(self, x: Tensor) -> bool:
        """Whether the first way is taken."""
        return True


class Private(Block):
    """Goes by a private number."""

    def prepare(self, number: int) -> None:
        self._turn = number

    def first(self, x: Tensor) -> bool:
        return self._turn < 3


class Schedule(Block):
    """Goes by what elsewhere is the rate of stochastic depth."""

    def prepare(self, number: int) -> None:
        self.drop_prob = 0.1 * number

    def first(self, x: Tensor) -> bool:
        return self.drop_prob < 0.25


class OwnSettings(Block):
    """Goes by an object that all blocks share and each changes."""

    def prepare(self, number: int) -> None:
        self.shared = SHARED

    def first(self, x: Tensor) -> bool:
        self.shared.turns += 1
        return self.shared.turns % 5 < 3


class Counting(Block):
    """Counts its calls on itself: called twice, it goes another way."""

    def prepare(self, number: int) -> None:
        self.calls = 0

    def first(self, x: Tensor) -> bool:
        self.calls += 1
        return self.calls < 2


class Listing(Block):
    """Appends to a list of its own, and goes by its length."""

    def prepare(self, number: int) -> None:
        self.seen: list[int] = []

    def first(self, x: Tensor) -> bool:
        self.seen.append(1)
        return len(self.seen) < 2


class ByDtype(Block):
    """Goes by the dtype that it is given."""

    def first(self, x: Tensor) -> bool:
        return x.dtype == torch.float32


class Kinds(Block):
    """Holds a dtype in public, which no structural hash tells, and goes by it."""

    def prepare(self, number: int) -> None:
        self.kind = torch.float16 if number > 1 else torch.float32

    def first(self, x: Tensor) -> bool:
        return self.kind == torch.float32


class Overlapping(Block):
    """Returns a view of its argument."""

    def forward(self, x: Tensor) -> Tensor:
        self.inner(x)
        return x[:, :]


class Twins(Block):
    """Returns two tensors over the same memory."""

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        x = self.inner(x)
        return x, x.T


class Told(Block):
    """Goes by the value of a small tensor that it is given."""

    def forward(self, x: Tensor, turn: Tensor) -> Tensor:
        x = self.inner(x)
        return x.relu() if turn < 3 else x.tanh()


class Boxed(Block):
    """Puts what it made into a list that it is given."""

    def forward(self, x: Tensor, box: list[Tensor]) -> Tensor:
        x = self.inner(x)
        box[0] = x
        return x


class Model(nn.Module):
    """Five blocks, and a forward to run them."""

    def __init__(self, made: Callable[[int], nn.Module], run: Callable[..., Tensor]) -> None:
        super().__init__()
        self.blocks, self.run = nn.ModuleList([made(number) for number in range(5)]), run

    def forward(self, x: Tensor) -> Tensor:
        return self.run(self.blocks, x)


def in_turn(blocks: nn.ModuleList, x: Tensor) -> Tensor:
    """Each block once."""
    for block in blocks:
        x = block(x)
    return x


def all_twice(blocks: nn.ModuleList, x: Tensor) -> Tensor:
    """All blocks, and all again."""
    return in_turn(blocks, in_turn(blocks, x))


def told(blocks: nn.ModuleList, x: Tensor) -> Tensor:
    """Each block with its number, as a tensor whose value is known."""
    for number, block in enumerate(blocks):
        x = block(x, torch.tensor(number))
    return x


def half_in_bfloat16(blocks: nn.ModuleList, x: Tensor) -> Tensor:
    """The last blocks under autocast."""
    for number, block in enumerate(blocks):
        lower = torch.autocast("cpu", torch.bfloat16) if number > 2 else contextlib.nullcontext()
        with lower:
            x = block(x.float())
    return x


def written_after(blocks: nn.ModuleList, x: Tensor) -> Tensor:
    """What a block returns is written into, and what it was given is used again."""
    for block in blocks:
        y = block(x)
        y.add_(1)
        x = x * 2
    return x


def twins(blocks: nn.ModuleList, x: Tensor) -> Tensor:
    """One of two outputs is written into, the other goes on."""
    for block in blocks:
        x, other = block(x)
        other.add_(1)
    return x


def boxed(blocks: nn.ModuleList, x: Tensor) -> Tensor:
    """What the last block left in the list."""
    box = [x * 2]
    for block in blocks:
        x = block(x, box) * 2
    return box[0]


def told_on_the_way(blocks: nn.ModuleList, x: Tensor) -> Tensor:
    """Each block is set before it is called."""
    for number, block in enumerate(blocks):
        block._turn = number
        x = block(x)
    return x


MODELS: dict[str, tuple[Callable[[int], nn.Module], Callable[..., Tensor]]] = {
    "a private number": (Private, in_turn),
    "a private number, set on the way": (lambda _: Private(0), told_on_the_way),
    "a schedule": (Schedule, in_turn),
    "a dtype": (Kinds, in_turn),
    "a shared object": (OwnSettings, in_turn),
    "a count": (Counting, all_twice),
    "a list": (Listing, all_twice),
    "autocast": (ByDtype, half_in_bfloat16),
    "a view of the argument": (Overlapping, written_after),
    "two outputs over one memory": (Twins, twins),
    "a known value": (Told, told),
    "an item put into a list": (Boxed, boxed),
}


@pytest.mark.parametrize("name", MODELS)
def test_a_copy_says_what_a_trace_of_each_block_says(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With and without copying, the graph is the same."""

    def graph() -> Any:
        SHARED.turns = 0
        torch.manual_seed(0)
        return extract(Model(*MODELS[name]), torch.randn(4, 4))

    copied = graph()
    monkeypatch.setattr(Keys, "key", lambda *_: None)
    assert copied.problem is None
    assert copied == graph()


def test_ties_inside_a_block_are_part_of_what_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """A block that ties its two layers reads one weight, its likes read two."""

    class Pair(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.one, self.two = nn.Linear(4, 4, bias=False), nn.Linear(4, 4, bias=False)

        def forward(self, x: Tensor) -> Tensor:
            return x @ self.one.weight + x @ self.two.weight

    model = nn.Sequential(*(Pair() for _ in range(5)))
    model[4].two.weight = model[4].one.weight
    copied = extract(model, torch.randn(2, 4))
    monkeypatch.setattr(Keys, "key", lambda *_: None)
    assert copied == extract(model, torch.randn(2, 4))


def test_blocks_that_are_alike_are_copied(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of many alike blocks two are run."""
    ran = []
    monkeypatch.setattr(Block, "first", lambda self, x: not ran.append(self))
    extract(Model(Block, in_turn), torch.randn(2, 4))
    assert len(ran) == 2


class Forgetful(nn.Module):
    """A block with an attribute that nobody asks for."""

    def __init__(self) -> None:
        super().__init__()
        self.up = nn.Linear(4, 4)
        self.note: Any = {"first": True}

    def forward(self, x: Tensor) -> Tensor:
        return self.up(x)


class Twice(nn.Module):
    """Four such blocks, each called twice, which lose the attribute before."""

    def __init__(self) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(Forgetful() for _ in range(4))

    def forward(self, x: Tensor) -> Tensor:
        for _ in range(2):
            for block in self.blocks:
                block.__dict__.pop("note", None)
                x = block(x)
        return x


def test_a_block_that_lost_an_attribute_is_traced_each_time() -> None:
    """It holds something else than at first, so nothing is copied, and nothing breaks."""
    graph = extract(Twice(), torch.randn(2, 4))
    assert graph.problem is None
    assert [call.module for call in graph.calls] == [f"blocks.{index}.up" for index in (0, 1, 2, 3)] * 2


def test_ties_are_told_where_both_ends_lie_inside() -> None:
    """Of a tie that leads out, or of blocks beside one with a tie, nothing is said."""
    blocks = nn.ModuleList(nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2)) for _ in range(5))
    blocks[1][0].weight = blocks[1][1].weight
    blocks[2][0].weight = blocks[3][0].weight
    blocks[4][0].register_parameter("other", blocks[4][0].weight)
    census = Census(sites(blocks))
    found = [census.tied_within(census.tree(block)) for block in blocks]
    assert found == [(), (0, 1, 0, 2), (), (), (0, 1, 0, 2, 3)]
