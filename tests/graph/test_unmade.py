"""Blocks that are made without what lies in them: nobody who asks can tell."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from graph import ModuleGraph, extract, shell
from graph.extract import extract_spent
from graph.tracing import insides
from graph.tracing.unmade import Late
from tests.graph.traced import traced
from tests.graph.ways_inside import WAYS, Model, in_turn, nothing
from tests.zoo import ATLAS


def made(monkeypatch: pytest.MonkeyPatch, fewest: int, act: Callable[[], Any]) -> Any:
    """What `act` returns where of so many alike blocks the insides are put off."""
    with monkeypatch.context() as patched:
        patched.setattr(insides, "FEWEST", fewest)
        return act()


@pytest.mark.parametrize("fewest", [1, 10**9], ids=["all", "nothing"])
@pytest.mark.parametrize("name", ATLAS)
def test_what_is_put_off_makes_no_difference(name: str, fewest: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The graph is the same where the inside of every block that can be is put off, and where none is."""
    known = traced(name)
    assert made(monkeypatch, fewest, lambda: extract(known.model, known.inputs)) == known.graph


@pytest.mark.parametrize("spent", [False, True], ids=["kept", "spent"])
@pytest.mark.parametrize("name", WAYS)
def test_whatever_leads_inside_finds_it_made(name: str, spent: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """The graph is that of a shell made as a whole, and no failure but where one is meant."""
    model = Model(*WAYS[name])
    x = torch.randn(4, 4)

    def graph() -> ModuleGraph:
        return extract_spent(shell(model), x) if spent else extract(model, x)

    late, known = graph(), made(monkeypatch, 10**9, graph)
    assert late == known == made(monkeypatch, 1, graph)
    assert (late.problem is None) == (name != "a failure")
    assert model.config.turned is False and len(model.layers[6]._modules) == 2


def asked_for(model: nn.Module, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Paths of the blocks whose inside a trace makes later than the shell."""
    asked: list[str] = []
    make = Late.make

    def noting(self: Late, block: nn.Module) -> None:
        asked.append(self.census.paths[block][0])
        make(self, block)

    monkeypatch.setattr(Late, "make", noting)
    assert extract(model, torch.randn(4, 4)).problem is None
    return asked


def test_only_the_blocks_that_are_run_are_made(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of eight alike blocks two are run, and no other has anything made in it."""
    assert asked_for(Model(in_turn, nothing), monkeypatch) == ["layers.0", "layers.1"]


def test_a_block_that_is_reached_otherwise_is_made_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """An attribute leads into the seventh block, and the forward into the sixth."""
    model = Model(lambda model, x: in_turn(model, x) @ model.layers[5].inner.up.weight, nothing)
    object.__setattr__(model, "aside", model.layers[6].inner.up)
    assert asked_for(model, monkeypatch) == ["layers.6", "layers.0", "layers.1", "layers.5"]


def test_what_was_never_made_is_used_up_too() -> None:
    """All modules of a spent shell are empty afterwards, those of the model as they were."""
    model = Model(in_turn, nothing)
    spent = shell(model)
    modules = list(spent.source_of)
    extract_spent(spent, torch.randn(4, 4))
    assert not any(module.__dict__ for module in modules)
    assert model(torch.randn(4, 4)).shape == (4, 4)


def test_what_was_let_go_is_empty() -> None:
    """Whoever kept the children of a block that was never run finds none in them after the trace."""
    kept: list[Any] = []

    def way(model: Any, x: Tensor) -> Tensor:
        kept.append(model.layers[7]._modules)
        return in_turn(model, x)

    extract(Model(way, nothing), torch.randn(4, 4))
    assert not kept[0] and list(kept[0]) == []


def test_a_deep_model_is_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three hundred blocks, each in the one before, and each of these a container of alike ones."""
    model: nn.Module = nn.Linear(4, 4)
    for _ in range(300):
        model = nn.Sequential(model, nn.Sequential(nn.Linear(4, 4), nn.ReLU()))
    x = torch.randn(2, 4)
    late = extract(model, x)
    assert late.problem is None and len(late.calls) == 601
    assert late == made(monkeypatch, 10**9, lambda: extract(model, x))
