"""What leads back into a model leads, in a shell of it, into the shell."""

import functools
import weakref
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from graph import extract
from graph.shell import shell


class Works(nn.Module):
    """Works by way of something that leads to itself, and keeps what it made."""

    def __init__(self, lead: Callable[["Works"], Callable[[Tensor], Tensor]]) -> None:
        super().__init__()
        self.inner, self.last, self.count = nn.Linear(4, 4), torch.zeros(1), 0
        self.way = lead(self)

    def work(self, x: Tensor) -> Tensor:
        self.count += 1
        self.last = self.inner(x)
        return self.last

    def forward(self, x: Tensor) -> Tensor:
        return self.way(x)


class Child(nn.Module):
    """Calls the module that it belongs to."""

    def __init__(self, parent: nn.Module) -> None:
        super().__init__()
        self.parent = weakref.ref(parent)

    def __call__(self, x: Tensor) -> Any:
        return self.parent().work(x)  # type: ignore[union-attr]


def nested(model: Works) -> Callable[[Tensor], Tensor]:
    """A function around a function."""

    def inner(x: Tensor) -> Tensor:
        return model.work(x)

    return lambda x: inner(x)


WAYS: dict[str, Callable[[Works], Any]] = {
    "method": lambda model: model.work,
    "partial": lambda model: functools.partial(model.work),
    "partial of a class": lambda model: functools.partial(Works.work, model),
    "closure": lambda model: lambda x: model.work(x),
    "nested closure": nested,
    "in a list": lambda model: functools.partial(lambda ways, x: ways[0](x), [model.work]),
    "weak reference": Child,
}


@pytest.mark.parametrize("name", WAYS)
def test_a_trace_goes_through_the_shell_by_any_way(name: str) -> None:
    """The call is that of the inner layer, and the opened model has not moved."""
    model = Works(WAYS[name])
    before = model.last
    graph = extract(model, torch.randn(2, 4))
    assert graph.problem is None
    assert [call.module for call in graph.calls if call.function is None] == ["inner"]
    assert graph.calls[0].reads == ("inner.weight", "inner.bias")
    assert model.count == 0
    assert model.last is before


def test_a_hook_that_calls_the_model_calls_the_shell() -> None:
    """A hook is a function like any."""
    model = nn.Sequential(nn.Linear(4, 4), nn.ReLU())
    model[1].register_forward_hook(lambda module, args, out: out + model[0](args[0]))
    graph = extract(model, torch.randn(2, 4))
    assert graph.problem is None
    assert [call.module for call in graph.calls if call.function is None] == ["0", "1", "0"]


def test_what_leads_elsewhere_stays_what_it_is() -> None:
    """A function that has nothing to do with the model is the very same in the shell."""
    count = [0]
    model = nn.Identity()
    model.function = lambda: count
    model.rest = functools.partial(max, 1)
    model.dead = weakref.ref(nn.Identity())
    made: Any = shell(model).model
    assert (made.function, made.rest, made.dead) == (model.function, model.rest, model.dead)


def test_a_function_that_calls_itself_is_led_elsewhere_once() -> None:
    """It is made anew around its code, and goes on to itself as it was."""
    model = nn.Sequential(nn.Linear(4, 4))

    def again(depth: int) -> nn.Module:
        return again(depth - 1) if depth else model

    model.again = again
    made: Any = shell(model).model
    assert made.again is not again
    assert made.again(0) is made


def test_a_made_function_says_what_it_was() -> None:
    """Its name, defaults, attributes and module are those of the first."""
    model = nn.Identity()

    def said(x: int = 1, *, y: int = 2) -> tuple[nn.Module, int, int]:
        """Says."""
        return model, x, y

    said.mark = 3  # type: ignore[attr-defined]
    model.said = said
    made: Any = shell(model).model.said
    assert made() == (made.__closure__[0].cell_contents, 1, 2)
    assert (made.__name__, made.__doc__, made.mark, made.__module__) == ("said", "Says.", 3, __name__)


def test_a_dead_proxy_is_in_nobodys_way() -> None:
    """What answers to nothing is no attribute that a graph shows."""
    model = nn.Linear(4, 4)
    kept = {1}
    model.gone = weakref.proxy(kept)
    del kept
    assert extract(model, torch.randn(2, 4)).problem is None
