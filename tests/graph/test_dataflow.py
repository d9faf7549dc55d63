"""Where tensors come from by ways that no argument shows: memory they share, attributes, transforms."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import weight_norm

from graph import ModuleGraph, extract
from graph.tracing.storages import overlap


class Runs(nn.Module):
    """Runs a function of itself and its input, between two layers."""

    def __init__(self, function: Any) -> None:
        super().__init__()
        self.function, self.before, self.after = function, nn.Linear(4, 4), nn.Linear(4, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.after(self.function(self.before(x)))


def named(graph: ModuleGraph, call: int) -> str:
    """A call by the function or path it runs."""
    return "input" if call < 0 else graph.calls[call].function or graph.calls[call].module


def flow(function: Any, real: bool = False) -> set[tuple[str, str]]:
    """The edges of a model that runs `function`, by what is called."""
    graph = extract(Runs(function), torch.randn(2, 4), real=real)
    assert graph.problem is None
    return {
        (named(graph, edge.source), named(graph, edge.target)) for edge in graph.edges if edge.target >= 0
    }


both = pytest.mark.parametrize("real", [False, True], ids=["fake", "real"])


@both
def test_a_write_reaches_what_the_view_is_of(real: bool) -> None:
    """Written through a view of a view, the whole comes from the write."""

    def writes(x: Tensor) -> Tensor:
        x.view(8).view(2, 4).mul_(2)
        return x

    assert ("mul_", "after") in flow(writes, real)


@both
def test_a_write_reaches_views_taken_before(real: bool) -> None:
    """A view that was taken before the whole was written shows what was written."""

    def writes(x: Tensor) -> Tensor:
        taken = x.view(2, 4)
        x.add_(1)
        return taken

    assert ("add_", "after") in flow(writes, real)


@both
@pytest.mark.parametrize("set_", [False, True], ids=["data", "set_"])
def test_a_tensor_that_is_set_to_another_shows_what_is_written_there(real: bool, set_: bool) -> None:
    """It lies over the memory of the other from then on."""

    def sets(x: Tensor) -> Tensor:
        y, z = x * 2, x * 3
        if set_:
            y.set_(z)
        else:
            y.data = z
        z.add_(1)
        return y

    assert ("add_", "after") in flow(sets, real)


@both
def test_a_write_does_not_reach_the_other_half(real: bool) -> None:
    """Of halves that lie in turns in one memory, writing one leaves the other as it was."""

    def writes(x: Tensor) -> Tensor:
        first, second = x.repeat(1, 2).chunk(2, -1)
        first.mul_(2)
        return second

    assert ("chunk", "after") in flow(writes, real)
    assert ("mul_", "after") not in flow(writes, real)


def test_an_attribute_that_a_hook_makes_is_where_the_layer_reads_it() -> None:
    """The weight that the older weight_norm makes before each call is an edge into its layer."""
    with pytest.warns(FutureWarning):
        layer = weight_norm(nn.Linear(4, 4))
    graph = extract(nn.Sequential(layer, nn.ReLU()), torch.randn(2, 4))
    made = next(call.id for call in graph.calls if call.function == "_weight_norm")
    (into,) = [edge for edge in graph.edges if edge.source == made]
    assert named(graph, into.target) == "0"
    assert len(graph.calls[into.target].inputs) == into.argument + 1 == 2


@both
def test_what_runs_under_vmap_is_connected(real: bool) -> None:
    """The way from layer to layer leads through a mapped function."""

    def mapped(x: Tensor) -> Tensor:
        out: Tensor = torch.vmap(lambda row: row.sin() * 2)(x)
        return out

    edges = flow(mapped, real)
    assert ("sin", "mul") in edges
    into = {source for source, target in edges if target == "after"}
    assert len(into) == 1
    assert into != {"before"}


@both
@pytest.mark.parametrize("write", [False, True], ids=["reads", "writes"])
def test_inference_mode_inside_a_forward_changes_nothing(real: bool, write: bool) -> None:
    """The edges are those of the same forward without it."""

    def plain(x: Tensor) -> Tensor:
        y = x * 2
        if write:
            y.add_(1)
        return y.clone()

    def inferring(x: Tensor) -> Tensor:
        with torch.inference_mode():
            return plain(x)

    assert flow(inferring, real) == flow(plain, real)


def test_a_function_that_was_compiled_is_seen_through() -> None:
    """The trace runs it uncompiled."""
    compiled = torch.compile(lambda x: x.sin() + 1)
    edges = flow(lambda x: compiled(x))
    assert {("before", "sin"), ("sin", "add"), ("add", "after")} <= edges


def test_halves_in_turns_do_not_overlap() -> None:
    """Overlap is of elements, not of the stretches they lie in."""
    whole = torch.zeros(3, 8)
    left, right = whole.chunk(2, -1)
    assert not overlap(left, right)
    assert overlap(left, whole)
    assert overlap(whole[1:], whole[:2])
    assert not overlap(whole[:1], whole[1:])
    assert not overlap(whole[:, ::2], whole[:, 1::2])
    assert overlap(whole[:, ::2], whole[:, ::3])
    assert not overlap(whole[:0], whole)
