"""Depth and width have no limits."""

import logging
import sys
import threading

import torch
from torch import Tensor, nn

from graph import extract


class Nest(nn.Module):
    """A linear layer, and the rest of the model inside."""

    def __init__(self, inner: nn.Module | None) -> None:
        super().__init__()
        self.first, self.inner = nn.Linear(2, 2), inner

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x)
        return x if self.inner is None else self.inner(x)


def test_a_thousand_nested_modules() -> None:
    """Depth has no limit, and Python's own limits are afterwards as before."""
    model = Nest(None)
    for _ in range(1_000):
        model = Nest(model)
    limits = sys.getrecursionlimit(), threading.stack_size()
    graph = extract(model, torch.randn(1, 2))
    assert (sys.getrecursionlimit(), threading.stack_size()) == limits
    assert graph.problem is None
    assert len(graph.modules) == 2_002
    assert [edge.source for edge in graph.edges if edge.target >= 0] == list(range(-1, 1_000))


def test_a_deep_forward_that_raises_is_a_problem_of_its_module() -> None:
    """What a deep trace raises reaches the caller as from any other."""
    model = Nest(nn.Linear(3, 3))
    for _ in range(200):
        model = Nest(model)
    problem = extract(model, torch.randn(1, 2)).problem
    assert problem is not None
    assert problem.path == ".".join(["inner"] * 201)


def test_five_thousand_layers() -> None:
    """Width has no limit either: each layer is a call with its edge."""
    graph = extract(nn.Sequential(*(nn.Linear(2, 2) for _ in range(5_000))), torch.randn(1, 2))
    assert len(graph.calls) == 5_000
    assert [edge.source for edge in graph.edges] == list(range(-1, 5_000))


def test_deep_models_are_traced_under_the_callers_autocast() -> None:
    """A thread of their own knows what the caller's knows."""
    model: nn.Module = nn.Linear(2, 2)
    for _ in range(100):
        model = nn.Sequential(model)
    with torch.autocast("cpu", torch.bfloat16):
        graph = extract(model, torch.randn(1, 2))
    assert graph.calls[-1].outputs[0].dtype == "bfloat16"


def test_traces_in_several_threads_put_back_what_they_found() -> None:
    """The recursion limit and the log of fake tensors are those from before the first of them."""
    model: nn.Module = nn.Linear(2, 2)
    for _ in range(150):
        model = nn.Sequential(model)
    log = logging.getLogger("torch._subclasses.fake_tensor")
    before = sys.getrecursionlimit(), log.disabled
    threads = [threading.Thread(target=extract, args=(model, torch.randn(1, 2))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (sys.getrecursionlimit(), log.disabled) == before
