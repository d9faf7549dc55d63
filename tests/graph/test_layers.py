"""A layer of torch runs once per kind; what makes it another kind is seen."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from graph import ModuleGraph, extract
from graph.tracing import layers


class Alone(nn.Module):
    """Calls one layer with what it is given, in a way."""

    def __init__(self, layer: nn.Module, call: Callable[..., Any] = lambda layer, x: layer(x)) -> None:
        super().__init__()
        self.layer, self.call = layer, call

    def forward(self, x: Tensor) -> Any:
        return self.call(self.layer, x)


def graph(layer: nn.Module, call: Any = lambda layer, x: layer(x), x: Tensor | None = None) -> ModuleGraph:
    """The graph of a model with one layer."""
    return extract(Alone(layer, call), torch.ones(2, 4) if x is None else x)


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> list[nn.Module]:
    """The linear layers whose forward was run, in a process that remembers nothing yet."""
    monkeypatch.setattr(layers, "_runs", {})
    ran: list[nn.Module] = []
    forward = nn.Linear.forward

    def noted(self: nn.Linear, *args: Tensor, **kwargs: Tensor) -> Tensor:
        ran.append(self)
        return forward(self, *args, **kwargs)

    monkeypatch.setattr(nn.Linear, "forward", noted)
    return ran


def test_a_layer_runs_once_per_kind(ran: list[nn.Module]) -> None:
    """Another layer of the same sizes, in another model, isn't run, and its graph is the same."""
    one, two = graph(nn.Linear(4, 3)), graph(nn.Linear(4, 3))
    assert len(ran) == 1
    assert one == two
    assert two.calls[0].reads == ("layer.weight", "layer.bias")


@pytest.mark.parametrize(
    ("other", "call", "x"),
    [
        (nn.Linear(4, 3, bias=False), None, None),
        (nn.Linear(4, 3, dtype=torch.float64), None, torch.ones(2, 4, dtype=torch.float64)),
        (nn.Linear(4, 3), None, torch.ones(1, 4)),
        (nn.Linear(4, 3), None, torch.ones(4, 2).T),
        (nn.Linear(4, 3), lambda layer, x: layer(input=x), None),
    ],
    ids=["tensors", "dtype", "shape", "strides", "keyword"],
)
def test_what_differs_is_run(other: nn.Module, call: Any, x: Tensor | None, ran: list[nn.Module]) -> None:
    """Its own tensors, and what it is given, make the kind of a layer."""
    graph(nn.Linear(4, 3))
    made = graph(other, call or (lambda layer, x: layer(x)), x)
    assert len(ran) == 2
    assert made.problem is None


def test_a_layer_under_autocast_returns_what_it_casts_to() -> None:
    """The same layer, outside and inside."""

    def both(layer: nn.Module, x: Tensor) -> tuple[Tensor, Tensor]:
        plain = layer(x)
        with torch.autocast("cpu", torch.bfloat16):
            return plain, layer(x)

    for _ in range(2):
        made = [call for call in graph(nn.Linear(4, 3), both).calls if call.module == "layer"]
        assert [call.outputs[0].dtype for call in made] == ["float32", "bfloat16"]


def test_a_weight_at_two_paths_is_read_by_the_layers_own() -> None:
    """What is remembered of one layer is told by the paths of the other."""
    model = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))
    model[1].weight = model[0].weight
    for _ in range(2):
        made = extract(model, torch.ones(2, 4))
        assert [call.reads for call in made.calls] == [("0.weight", "0.bias"), ("1.weight", "1.bias")]


def test_an_argument_given_twice_is_another_kind() -> None:
    """Attention of a tensor to itself takes a short way, and its edges are three."""
    attention = nn.MultiheadAttention(4, 2)
    inputs = torch.ones(3, 1, 4)
    for _ in range(2):
        itself = graph(attention, lambda layer, x: layer(x, x, x)[0], inputs)
        others = graph(attention, lambda layer, x: layer(x, x + 1, x + 2)[0], inputs)
        for made, expected in ((itself, 1), (others, 3)):
            layer = next(call.id for call in made.calls if call.module == "layer")
            into = [edge.source for edge in made.edges if edge.target == layer]
            assert (len(into), len(set(into))) == (3, expected)


def test_a_layer_that_only_hands_on_is_a_call_of_its_own() -> None:
    """What returns its argument, or a view of it, isn't made anew from memory."""
    for layer in (nn.Dropout(), nn.Identity(), nn.Flatten(), nn.ReLU(inplace=True)):
        for _ in range(2):
            made = graph(nn.Sequential(layer, nn.Linear(4, 4)))
            assert [call.activation_bytes for call in made.calls] == [0, 32]
            assert (made.edges[0].source, made.edges[0].target, made.edges[1].source) == (-1, 0, 0)


def test_a_subclass_is_run_each_time(ran: list[nn.Module]) -> None:
    """What a class outside torch does is its own affair."""

    class Doubled(nn.Linear):
        pass

    graph(Doubled(4, 3))
    graph(Doubled(4, 3))
    assert len(ran) == 2


def test_the_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Past its limit all is forgotten."""
    monkeypatch.setattr(layers, "_runs", kept := {})
    monkeypatch.setattr(layers, "MOST", 2)
    for width in range(1, 6):
        graph(nn.Linear(4, width))
    assert 0 < len(kept) <= 2


def test_a_function_of_the_model_is_run_each_time() -> None:
    """Functions that torch dispatches to overrides for their authors aren't remembered."""
    ran = []

    def doubled(x: Tensor) -> Tensor:
        if torch.overrides.has_torch_function_unary(x):
            result: Tensor = torch.overrides.handle_torch_function(doubled, (x,), x)
            return result
        ran.append(1)
        return x * 2

    for _ in range(2):
        graph(nn.Identity(), lambda layer, x: doubled(layer(x)))
    assert len(ran) == 2


def called_with_another_weight(layer: nn.Module, x: Tensor) -> Tensor:
    """With a weight made of its own."""
    return torch.func.functional_call(layer, {"weight": layer.weight * 2, "bias": layer.bias}, (x,))


def given_another_weight(layer: nn.Module, x: Tensor) -> Tensor:
    """With a weight of its own from now on."""
    layer.weight = nn.Parameter(torch.zeros(3, 4))
    return layer(x)


@pytest.mark.parametrize("call", [called_with_another_weight, given_another_weight])
def test_a_weight_that_comes_during_the_forward_is_used(call: Any) -> None:
    """The layer is run with it, and where it comes from is an edge."""
    made = graph(nn.Linear(4, 3), call)
    assert made.problem is None
    layer = next(call for call in made.calls if call.module == "layer")
    assert layer.outputs[0].shape == (2, 3)
    if call is called_with_another_weight:
        assert {made.calls[e.source].function for e in made.edges if e.target == layer.id} >= {"mul"}


def test_the_forward_of_another_layer_is_that_of_the_other() -> None:
    """A layer whose forward is another's returns what that one returns."""

    def borrowed(layer: nn.Module, x: Tensor) -> Tensor:
        return layer[0](x)

    graph(nn.Linear(4, 3))
    layers = nn.Sequential(nn.Linear(4, 3), nn.Linear(4, 5))
    layers[0].forward = layers[1].forward
    made = graph(layers, borrowed)
    assert made.calls[-1].outputs[0].shape == (2, 5)


def test_a_layer_whose_class_was_patched_is_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was remembered of the class before is not what it does now."""
    graph(nn.Linear(4, 3))
    monkeypatch.setattr(nn.Linear, "forward", lambda self, x: x @ torch.zeros(4, 7))
    assert graph(nn.Linear(4, 3)).calls[0].outputs[0].shape == (2, 7)


def test_a_layer_with_a_function_of_the_users_is_run_each_time() -> None:
    """One function may lie where another lay before."""
    for power in (1, 2, 3, 1):
        shaped = nn.TripletMarginWithDistanceLoss(
            distance_function=lambda a, b, power=power: (a - b).repeat(1, power), reduction="none"
        )
        made = graph(shaped, lambda layer, x: layer(x, x, x))
        assert made.calls[0].outputs[0].shape == (2, 4 * power)
