"""Selectors that the studio writes, on names that selectors have a meaning for."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

import surgery
from graph import extract, select
from graph.naming import selector_of
from graph.nodes import ModuleGraph
from surgery.adapters.drawn import adapted, adapter_around
from widgets.desk import Desk, Draft
from widgets.drafts import start
from widgets.inspector import inspector


class Odd(nn.Module):
    """Names with every character that a selector reads, a list with a gap, and a module called base."""

    def __init__(self) -> None:
        super().__init__()
        for name in ("a,b", "x[0]", "{q}", "c:d", "e f", "star*", "back\\slash"):
            self.add_module(name, nn.Linear(4, 4))
        self.mixed = nn.Sequential()
        for name in ("0", "act", "2"):
            self.mixed.add_module(name, nn.Linear(4, 4))
        self.gap = nn.Sequential()
        for name in ("0", "5", "6"):
            self.gap.add_module(name, nn.Linear(4, 4))
        self.base = nn.Linear(4, 4)

    def forward(self, x: Tensor) -> Tensor:
        for child in self.children():
            x = child(x)
        return x


@pytest.fixture(scope="module")
def graph() -> ModuleGraph:
    """The odd model's graph."""
    return extract(Odd(), (torch.ones(1, 4),))


def test_selector_of_one_path_selects_it(graph: ModuleGraph) -> None:
    """Whatever its name is made of."""
    for path in graph.by_path:
        if path:
            assert select(selector_of([path], graph), graph) == (path,)


def test_selector_of_several_paths_selects_them(graph: ModuleGraph) -> None:
    """Neighbours become a slice of places, not of names."""
    paths = ["a,b", "mixed.0", "mixed.2", "gap.5", "gap.6", "x[0]"]
    assert set(select(selector_of(paths, graph), graph)) == set(paths)
    assert selector_of(["gap.5", "gap.6"], graph) == "gap[1:3]"


@pytest.mark.parametrize("path", ["a,b", "x[0]", "base"])
def test_forms_start_with_selectors_that_work(path: str) -> None:
    """An odd name can be sparsified, and adapted: a user's own `base` is no adapter's."""
    session = surgery.open(Odd(), (torch.ones(1, 4),))
    for name in ("sparsify", "attach"):
        draft = start(name, session.graph, [path])
        assert session.preview(draft.step()).steps[0].targets.paths == (path,)  # type: ignore[attr-defined]
    tie = start("tie", session.graph, [path, "c:d"])
    assert session.preview(tie.step()).steps[0].to.path == path  # type: ignore[attr-defined]


def test_inside_an_adapter_is_only_what_one_wraps() -> None:
    """`base` means the adapted module below an adapter, and nothing anywhere else."""
    session = surgery.open(Odd(), (torch.ones(1, 4),))
    session.attach("gap[0]")
    graph = session.graph
    assert adapter_around(graph, "gap.0.base") == "gap.0"
    assert adapter_around(graph, "base") is None and adapter_around(graph, "") is None
    assert [path for path in ("gap", "gap.0", "gap.0.base", "gap.5", "base") if adapted(graph, path)] == [
        "gap",
        "gap.0",
        "gap.0.base",
    ]
    groups = {group["name"]: group for group in inspector(graph, Desk(selection=["gap.0.base"]))["groups"]}
    assert [way["name"] for way in groups["attach"]["operations"]] == [
        "attach",
        "adopt",
        "detach",
        "fold",
        "activate",
    ]
    assert start("detach", graph, ["gap.0.base"]).values == {"targets": "gap[0]"}
    assert start("attach", graph, ["gap"]).values["targets"] == "gap[1:3]"


def test_draft_can_be_applied_only_after_its_own_dry_run() -> None:
    """Waiting, refused and never asked are three reasons not to."""
    draft = Draft("remove", {"targets": "a"})
    assert not draft.can_apply
    draft.settle(object(), None)  # type: ignore[arg-type]
    assert draft.can_apply
    draft.ask()
    assert not draft.can_apply
    draft.settle(None, surgery.SurgeryError("no"))
    assert not draft.can_apply
