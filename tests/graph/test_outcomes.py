"""The short ways of a trace lead where the long ones do."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from graph import extract
from graph.tracing import outcomes
from graph.tracing.layers import Layers
from graph.tracing.macs import macs_of
from tests.graph.traced import traced
from tests.zoo import ATLAS


@pytest.mark.parametrize("name", ATLAS)
def test_the_graph_is_that_of_the_long_way(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is remembered of operators, functions and layers, and views made directly, change nothing."""
    made = traced(name)
    monkeypatch.setattr("graph.tracing.watch.shortly", _long_way)
    monkeypatch.setattr(
        "graph.tracing.watch.of_function", lambda func, _, args, kwargs, __: func(*args, **kwargs)
    )
    monkeypatch.setattr(Layers, "key", lambda *_: None)
    assert extract(made.model, made.inputs) == made.graph


def _long_way(operator: Any, _mode: Any, args: Any, kwargs: Any) -> tuple[Any, int]:
    out = operator(*args, **kwargs)
    return out, macs_of(operator, args, kwargs, out)


class _Runs(nn.Module):
    """Calls a function of its input, beside a module."""

    def __init__(self, function: Any) -> None:
        super().__init__()
        self.function, self.inner = function, nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return self.inner(self.function(x))


@pytest.mark.parametrize(
    ("one", "two"),
    [
        (lambda x: x + 1, lambda x: x + 1.0),
        (lambda x: x * 2, lambda x: x * 2j),
        (lambda x: x.sum(0), lambda x: x.sum(0, keepdim=True)),
        (lambda x: x.clamp(0), lambda x: x.clamp(False)),
    ],
    ids=["number", "complex", "flag", "bool"],
)
def test_what_differs_only_in_an_argument_is_told_apart(one: Any, two: Any) -> None:
    """Numbers of other types that compare equal, and flags, lead to outcomes of their own."""
    x = torch.arange(6).reshape(2, 3)
    for function in (one, two, one):
        last = extract(_Runs(function), x).calls[-1]
        true = function(x)
        assert (last.outputs[0].shape, f"torch.{last.outputs[0].dtype}") == (
            tuple(true.shape),
            str(true.dtype),
        )


def test_what_differs_only_in_the_default_dtype_is_told_apart() -> None:
    """A division of whole numbers is made in the default dtype of the moment."""
    x = torch.arange(6).reshape(2, 3)
    before = torch.get_default_dtype()
    try:
        for dtype in (torch.float32, torch.float64):
            torch.set_default_dtype(dtype)
            said = extract(_Runs(lambda x: x / 2), x).calls[-1].outputs[0]
            assert f"torch.{said.dtype}" == str(dtype)
    finally:
        torch.set_default_dtype(before)


def test_a_mask_is_a_value_and_an_index_is_none() -> None:
    """How many a mask lets through can't be known from its shape, whatever was remembered of indices."""
    index = extract(_Runs(lambda x: x[torch.zeros(4, dtype=torch.long)]), torch.ones(2, 3))
    again = extract(_Runs(lambda x: x[torch.zeros(4, dtype=torch.long)]), torch.ones(2, 3))
    assert index == again
    assert index.calls[-1].outputs[0].shape == (4, 3)
    masked = extract(nn.Sequential(_Runs(lambda x: x[x[:, 0] > 0])), torch.ones(2, 3))
    assert masked["0"].opaque is not None


def test_writing_into_a_view_made_directly_writes_into_its_base() -> None:
    """The write makes the call the producer of the whole tensor."""

    def function(x: Tensor) -> Tensor:
        y = x * 2
        y[:, 0].add_(1)
        return y + 1

    graph = extract(_Runs(function), torch.ones(2, 3))
    made = [call.function for call in graph.calls if call.function]
    assert made == ["mul", "getitem", "add_", "add"]
    assert [edge.source for edge in graph.edges if edge.target == 3] == [2]


def test_the_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Past its limit all is forgotten, and the graph is the same."""
    made = traced("llama")
    monkeypatch.setattr(outcomes, "MOST", 3)
    monkeypatch.setattr(outcomes, "known_outcomes", kept := {})
    assert extract(made.model, made.inputs) == made.graph
    assert 0 < len(kept) <= 3


def gradient(x: Tensor) -> Tensor:
    """A gradient taken inside a forward."""
    with torch.enable_grad():
        x = x.clone().requires_grad_(True)
        return torch.autograd.grad(torch.tanh(x * 2).sum(), x)[0]


def branching(x: Tensor) -> Tensor:
    """Goes by a flag that a function sets."""
    y = (x * 2).requires_grad_()
    return y.relu() if y.requires_grad else y.tanh()


def neighbours(x: Tensor) -> Tensor:
    """Two halves of one tensor."""
    y = x * 2
    first, second = y[:, :2], y[:, 1:3]
    return first.expand_as(second).add(second)


def strangers(x: Tensor) -> Tensor:
    """Two halves of two tensors, shaped and lying as those of one."""
    first, second = (x * 2)[:, 1:3], (x * 3)[:, :2]
    return first.expand_as(second).add(second)


PAIRS = {
    "a list and a tuple": (lambda x: x[0, 1], lambda x: x[[0, 1]]),
    "one tensor twice and two": (
        lambda x: torch.atleast_1d(x, x)[1] * 1,
        lambda x: torch.atleast_1d(x, x + 1)[1] * 1,
    ),
    "one memory and two": (neighbours, strangers),
    "a conjugate": (
        lambda x: (x * 1j).resolve_conj().real * 1,
        lambda x: (x * 1j).conj().resolve_conj().real * 1,
    ),
    "a negative": (lambda x: (x * 1j).imag.resolve_neg(), lambda x: (x * 1j).conj().imag.resolve_neg()),
    "a sparse tensor": (lambda x: x.to_sparse_csr().to_dense(), lambda x: x.to_sparse().to_dense()),
    "gradients": (gradient, branching),
}


@pytest.mark.filterwarnings("ignore:Sparse CSR")
@pytest.mark.parametrize("name", PAIRS)
@pytest.mark.parametrize("turned", [False, True], ids=["forth", "back"])
def test_functions_are_remembered_by_all_they_go_by(
    name: str, turned: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whichever of two comes first, and again, the graph is that of the long way."""
    x = torch.ones(2, 3)
    monkeypatch.setattr(outcomes, "known_outcomes", {})
    functions = PAIRS[name][::-1] if turned else PAIRS[name]
    short = [extract(_Runs(function), x) for function in (*functions, *functions)]
    monkeypatch.setattr("graph.tracing.watch.shortly", _long_way)
    monkeypatch.setattr(
        "graph.tracing.watch.of_function", lambda func, _, args, kwargs, __: func(*args, **kwargs)
    )
    assert [graph.problem for graph in short] == [None] * 4
    assert short == [extract(_Runs(function), x) for function in (*functions, *functions)]
