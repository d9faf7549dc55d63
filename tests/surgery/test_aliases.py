"""Modules held outside the tree, in whatever way: a structural edit is refused before anything changes."""

from __future__ import annotations

import functools
import types
import weakref
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import nn

import surgery
from surgery import SurgeryError
from surgery.aliases import Outside, refuse_aliases
from surgery.edits import Arrange, SetAttribute, SetModule, Site
from surgery.journal import Journal
from surgery.registry import operation_named
from surgery.runs import Live
from tests.surgery.states import snapshot

X = torch.randn(2, 4, generator=torch.Generator().manual_seed(0))


class Block(nn.Module):
    """A linear layer in a block."""

    def __init__(self) -> None:
        super().__init__()
        self.up = nn.Linear(4, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.up(x)

    def twice(self, x: torch.Tensor) -> torch.Tensor:
        """Another way to call it."""
        return self(self(x))


class Holding(nn.Module):
    """Three blocks, and `held`, which leads to one of them."""

    def __init__(self, holds: Callable[[nn.ModuleList], Any]) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.blocks = nn.ModuleList(Block() for _ in range(3))
        self.__dict__["held"] = holds(self.blocks)  # past nn.Module, which would make a module a child

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for block in self.blocks:
            x = block(x)
        return x


@dataclass
class Record:
    """A record with a module in it."""

    block: Any


@dataclass(frozen=True)
class Frozen:
    """One that cannot be written to."""

    block: Any


def closure(block: nn.Module) -> Callable[[torch.Tensor], torch.Tensor]:
    """A function that calls the block."""

    def call(x: torch.Tensor) -> torch.Tensor:
        return block(x)

    return call


def ring(block: nn.Module) -> list[Any]:
    """A list that contains itself and the block."""
    made: list[Any] = []
    made += [made, block]
    return made


HELD: dict[str, Callable[[nn.ModuleList], Any]] = {
    "attribute": lambda blocks: blocks[1],
    "list": lambda blocks: list(blocks),
    "tuple": lambda blocks: (0, blocks[1]),
    "set": lambda blocks: {blocks[1]},
    "frozenset": lambda blocks: frozenset([blocks[1]]),
    "deque": lambda blocks: deque([blocks[1]]),
    "dictionary": lambda blocks: {"a": blocks[1]},
    "ordered dictionary": lambda blocks: OrderedDict(a=blocks[1]),
    "deeply nested": lambda blocks: {"a": [({"b": {"c": (1, [blocks[1]])}},)]},
    "ring": lambda blocks: ring(blocks[1]),
    "record": lambda blocks: Record(blocks[1]),
    "frozen record": lambda blocks: [Frozen((blocks[1],))],
    "namespace": lambda blocks: types.SimpleNamespace(block=blocks[1]),
    "weak reference": lambda blocks: weakref.ref(blocks[1]),
    "bound method": lambda blocks: blocks[1].twice,
    "bound method in a list": lambda blocks: [blocks[1].forward],
    "partial call": lambda blocks: functools.partial(torch.utils.checkpoint.checkpoint, blocks[1]),
    "partial call by name": lambda blocks: functools.partial(print, block=[blocks[1]]),
    "partial call of a method": lambda blocks: functools.partial(blocks[1].twice, X),
    "closure": lambda blocks: closure(blocks[1]),
    "partial call of a closure in a dictionary": lambda blocks: {"a": functools.partial(closure(blocks[1]))},
    "weak reference in a partial call": lambda blocks: functools.partial(print, weakref.ref(blocks[1])),
}


@pytest.mark.parametrize("way", HELD)
def test_held_modules_are_refused(way: str) -> None:
    """By every operation that moves or replaces them, naming the attribute; nothing has changed."""
    session = surgery.open(Holding(HELD[way]).eval(), X)
    before = snapshot(session.model)
    for operation, fields in (
        ("remove", {"targets": "blocks[0]"}),
        ("move", {"targets": "blocks[0]", "to": "blocks[2]", "place": "after"}),
        ("swap", {"target": "blocks[0]", "other": "blocks[1]"}),
        ("duplicate", {"targets": "blocks[1]"}),
    ):
        with pytest.raises(SurgeryError, match="held outside the module tree, in held, where"):
            getattr(session, operation)(**fields)
    assert snapshot(session.model) == before
    assert session.steps == ()


@pytest.mark.parametrize("way", HELD)
def test_so_are_those_of_which_a_part_is_held(way: str) -> None:
    """What leads to a part of a block would lead to it when the block is gone; wrapping the part likewise."""
    session = surgery.open(Holding(lambda blocks: HELD[way](parts(blocks))).eval(), X)
    with pytest.raises(SurgeryError, match=r"has a part that is also held outside the module tree, in held"):
        session.remove("blocks[1]")
    with pytest.raises(SurgeryError, match=r"blocks\.1\.up: is also held outside the module tree, in held"):
        session.attach("blocks[1].up", rank=2)


class Part(nn.Linear):
    """A linear layer with another way to call it."""

    def twice(self, x: torch.Tensor) -> torch.Tensor:
        """Another way to call it."""
        return self(self(x))


def parts(blocks: nn.ModuleList) -> Any:
    """The linear layers of the blocks."""
    for block in blocks:
        block.up = Part(4, 4)
    return [block.up for block in blocks]


class Inner(Block):
    """Holds a method of its own, a part of it in a list, and a partial call of a part."""

    def __init__(self) -> None:
        super().__init__()
        self.way = self.twice
        self.parts = [self.up]
        self.call = functools.partial(self.up.forward)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.call(self.parts[0](x))


def inner() -> nn.Module:
    """Three blocks that hold nothing but their own."""
    model = Holding(lambda blocks: None)
    model.blocks = nn.ModuleList(Inner() for _ in range(3))
    return model.eval()


def test_what_a_block_holds_of_itself_goes_along() -> None:
    """Blocks with methods and parts of their own in attributes are removed and moved as others are."""
    model = inner()
    session = surgery.open(model, X)
    session.remove("blocks[1]")
    session.move("blocks[0]", to="blocks[1]", place="after")
    assert torch.equal(session.model(X), model.blocks[0](model.blocks[2](X)))


def test_but_its_parts_are_not_replaced() -> None:
    """An adapter would not be reached where the block calls what it holds."""
    session = surgery.open(inner(), X)
    for operation in ("attach", "sparsify"):
        if operation == "attach":
            with pytest.raises(SurgeryError, match=r"in blocks\.0\.(parts|call), where"):
                session.attach("blocks[0].up", rank=2)
        else:
            session.sparsify("blocks[0].up", 0.5)  # sets a value in the very module that is held


def test_other_modules_are_free() -> None:
    """Only what is held is refused: a list of heads says nothing of blocks, nor of a block beside it."""
    session = surgery.open(Holding(lambda blocks: (blocks[2].up,)).eval(), X)
    session.attach("blocks[0].up", rank=2)
    with pytest.raises(SurgeryError, match=r"blocks\.2: has a part"):
        session.remove("blocks[0]")  # the list is arranged anew, and what is held may be counted in it


def test_a_proxy_stops_nothing() -> None:
    """A weak proxy leads out of the model under surgery, to the opened one, as ever."""
    session = surgery.open(Holding(lambda blocks: weakref.proxy(blocks[1])).eval(), X)
    session.remove("blocks[0]")


def test_large_tables_are_not_searched() -> None:
    """A vocabulary in a plain list costs nothing and holds no module."""
    session = surgery.open(Holding(lambda blocks: list(range(100_000))).eval(), X)
    session.remove("blocks[0]")


def test_what_was_found_in_one_step_holds_for_the_next() -> None:
    """A preview of several steps refuses what they are refused for one by one."""
    session = surgery.open(Holding(lambda blocks: (blocks[2].up,)).eval(), X)
    steps = [
        operation_named("attach").of("blocks[0].up", rank=2),
        operation_named("attach").of("blocks[1].up", rank=2),
        operation_named("attach").of("blocks[2].up", rank=2),
    ]
    assert len(session.preview(*steps[:2]).steps) == 2
    with pytest.raises(SurgeryError, match=r"blocks\.2\.up: is also held outside the module tree, in held"):
        session.preview(*steps)


class Unheard:
    """An edit of which nothing is known: it hides a block in a list of the root."""

    def apply(self, site: Site) -> None:
        site.model.__dict__["hidden"] = [site.model.get_submodule("blocks.0")]


def replaced(module: nn.Module) -> nn.Module:
    """The module itself; beside it, what holds it takes note of it."""
    module.__dict__["mine"] = [module.up]
    return nn.Sequential(module)


@pytest.mark.parametrize(
    "edit",
    [
        SetAttribute("", "hidden", "later"),
        Unheard(),
        SetModule("blocks.0", replaced),
    ],
)
def test_an_edit_after_which_more_is_held_is_noticed(edit: Any) -> None:
    """What was found before does not hide what an edit did to modules."""
    model = Holding(lambda blocks: None).eval()
    known: Outside = {}
    wrap = [SetModule("blocks.0", nn.Sequential)]
    refuse_aliases(wrap, model, None, known)
    if isinstance(edit, SetAttribute):
        edit = SetAttribute("", "hidden", [model.blocks[0]])
    refuse_aliases([edit], model, None, known)
    edit.apply(Site(model, Journal(), Live()))
    part = [SetModule("blocks.0.0.up" if isinstance(edit, SetModule) else "blocks.0", nn.Sequential)]
    with pytest.raises(SurgeryError, match="held outside the module tree"):
        refuse_aliases(part, model, None, known)


def test_so_is_one_in_a_list_that_was_put_in_another_order() -> None:
    """The module that an edit then finds at a path is not the one that is there before."""
    model = Holding(lambda blocks: None).eval()
    known: Outside = {}
    refuse_aliases([SetModule("blocks.0", nn.Sequential)], model, None, known)
    edits = [Arrange("blocks", (1, 0, 2)), SetModule("blocks.0", replaced)]
    refuse_aliases(edits, model, None, known)
    site = Site(model, Journal(), Live())
    for edit in edits:
        edit.apply(site)
    with pytest.raises(SurgeryError, match=r"held outside the module tree, in blocks\.0\.0\.mine"):
        refuse_aliases([SetModule("blocks.0.0.up", nn.Sequential)], model, None, known)
