"""Blocks kept, moved, swapped and duplicated compute what the same blocks called by hand compute."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

import surgery
from graph.diff import diff
from surgery import Session, SurgeryError
from tests.zoo import ZOO


class Chain(nn.Module):
    """Blocks in a row, each adding to its input."""

    def __init__(self, count: int) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(nn.Linear(4, 4) for _ in range(count))
        self.others = nn.ModuleList(nn.Linear(4, 4) for _ in range(2))

    def forward(self, x: Tensor) -> Tensor:
        for block in (*self.blocks, *self.others):
            x = x + block(x).tanh()
        return x


@pytest.fixture
def chain() -> Chain:
    """Five blocks and two others."""
    torch.manual_seed(0)
    return Chain(5)


X = torch.linspace(-1, 1, 8).reshape(2, 4)


def opened(chain: Chain) -> Session:
    """A session on the chain."""
    return surgery.open(chain, X)


def by_hand(chain: Chain, order: str) -> Tensor:
    """What the chain would give with these blocks, by number."""
    x = X
    for block in (*(chain.blocks[int(number)] for number in order), *chain.others):
        x = x + block(x).tanh()
    return x


@pytest.mark.parametrize(
    ("operation", "values", "order"),
    [
        ("keep", {"targets": "blocks[::2]"}, "024"),
        ("keep", {"targets": "blocks.{3,1}"}, "13"),
        ("move", {"targets": "blocks[0]", "to": "blocks[2]"}, "10234"),
        ("move", {"targets": "blocks[0]", "to": "blocks[2]", "place": "after"}, "12034"),
        ("move", {"targets": "blocks[3:5]", "to": "blocks[0]"}, "34012"),
        ("move", {"targets": "blocks.{0,2}", "to": "blocks[-1]", "place": "after"}, "13402"),
        ("swap", {"target": "blocks[0]", "other": "blocks[-1]"}, "41230"),
        ("duplicate", {"targets": "blocks[1:4]"}, "01231234"),
        ("duplicate", {"targets": "blocks[1:4]", "order": "each"}, "01122334"),
        ("duplicate", {"targets": "blocks[1:4]", "shared": True}, "01231234"),
        ("duplicate", {"targets": "blocks.{0,3}"}, "0123034"),
    ],
)
def test_blocks_stand_in_this_order(operation: str, values: dict[str, Any], order: str, chain: Chain) -> None:
    """The edited model gives what calling the blocks in that order gives."""
    session = opened(chain)
    getattr(session, operation)(**values)
    assert torch.equal(session.model(X), by_hand(chain, order))
    assert list(session.model.blocks._modules) == [str(number) for number in range(len(order))]


def test_a_copy_has_parameters_of_its_own(chain: Chain) -> None:
    """Changing the copy leaves the block as it is; what was tied inside it is tied in the copy."""
    chain.blocks[1] = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))
    chain.blocks[1][1].weight = chain.blocks[1][0].weight
    session = opened(chain)
    session.duplicate("blocks[1]")
    block, copy = session.model.blocks[1], session.model.blocks[2]
    assert copy[0].weight is copy[1].weight
    assert copy[0].weight is not block[0].weight
    assert copy[0].weight.data_ptr() != block[0].weight.data_ptr()
    assert torch.equal(copy[0].weight, block[0].weight)


def test_a_shared_copy_is_a_tie(chain: Chain) -> None:
    """It has no parameters of its own, and is a module of its own."""
    session = opened(chain)
    before = sum(parameter.numel() for parameter in session.model.parameters())
    session.duplicate("blocks[1]", shared=True)
    assert sum(parameter.numel() for parameter in session.model.parameters()) == before
    assert session.model.blocks[2] is not session.model.blocks[1]
    assert {"blocks.1.weight", "blocks.2.weight"} in [set(tie.paths) for tie in session.graph.ties]


def test_statistics_are_copied(chain: Chain) -> None:
    """A copy of a block with running statistics starts from them and keeps its own."""
    chain.blocks[0] = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4))
    chain.blocks[0][1].running_mean.fill_(0.5)
    session = opened(chain)
    session.duplicate("blocks[0]")
    copy = session.model.blocks[1][1]
    assert torch.equal(copy.running_mean, torch.full((4,), 0.5))
    assert copy.running_mean is not session.model.blocks[0][1].running_mean


@pytest.mark.parametrize(
    ("operation", "values", "said"),
    [
        ("keep", {"targets": "blocks"}, "needs a block"),
        ("keep", {"targets": "blocks[:]"}, "would change nothing"),
        (
            "move",
            {"targets": "blocks[0]", "to": "others[0]"},
            "blocks of one list; got blocks, expected others",
        ),
        ("move", {"targets": "blocks[0:2]", "to": "blocks[1]"}, "beside itself"),
        ("move", {"targets": "blocks[0]", "to": "blocks[1]"}, "is there already"),
        ("move", {"targets": "blocks[1]", "to": "blocks[7]"}, "blocks"),
        ("swap", {"target": "blocks[0]", "other": "others[0]"}, "blocks of one list"),
        ("swap", {"target": "blocks[0]", "other": "blocks.0"}, "two blocks"),
        ("duplicate", {"targets": "blocks"}, "needs a block"),
    ],
)
def test_what_makes_no_sense_is_refused(
    operation: str, values: dict[str, Any], said: str, chain: Chain
) -> None:
    """In a sentence, and nothing has changed."""
    session = opened(chain)
    before = session.fingerprint()
    with pytest.raises(SurgeryError, match=said):
        getattr(session, operation)(**values)
    assert session.fingerprint() == before


def test_duplicates_are_undone_and_done_again(chain: Chain) -> None:
    """Undo gives the very blocks back, redo the very copies."""
    session = opened(chain)
    blocks = list(session.model.blocks)
    session.duplicate("blocks[1:3]")
    copies = list(session.model.blocks)
    session.undo()
    assert all(one is two for one, two in zip(session.model.blocks, blocks, strict=True))
    session.redo()
    assert all(one is two for one, two in zip(session.model.blocks, copies, strict=True))


def test_a_duplicate_says_in_the_difference_what_it_is(chain: Chain) -> None:
    """Added blocks, and no change of those that moved on."""
    session = opened(chain)
    before = session.graph
    session.duplicate("blocks[1]")
    found = diff(before, session.graph)
    assert [part.path for part in found.added] == ["blocks.2"]
    assert {(move.before, move.after) for move in found.moved} >= {("blocks.2", "blocks.3")}
    assert not found.changed
    assert not found.removed


@pytest.mark.parametrize(
    ("verb", "select"),
    [
        ("remove", "grid[2], grid[2][0]"),
        ("keep", "grid[0], grid[1][0]"),
        ("duplicate", "grid[0], grid[0][0]"),
    ],
)
def test_a_list_and_one_inside_it_take_a_step_each(verb: str, select: str) -> None:
    """What is inside would no longer be where it was; in two steps it can be done."""
    session = surgery.open(*ZOO["nested_lists"]())
    with pytest.raises(SurgeryError, match="this list and one inside it at once"):
        session.preview(verb, select)
    assert session.steps == ()
