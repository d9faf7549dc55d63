"""What a call and an edge say, and what a trace leaves behind: nothing."""

import dataclasses
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensor

from graph import extract


def test_outputs_are_numbered_at_both_ends_of_an_edge() -> None:
    """An edge says which output of its source goes to which argument of its target."""

    class Split(nn.Module):
        def forward(self, x: Tensor) -> tuple[Tensor, ...]:
            return tuple(x.unbind(-1))

    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.split = Split()

        def forward(self, one: Tensor, two: list[Tensor], *, three: Tensor) -> Tensor:
            first, second = self.split(one)
            return torch.stack([second, two[1], first, three])

    pair = [torch.randn(3), torch.randn(3)]
    graph = extract(Model(), {"one": torch.randn(3, 2), "two": pair, "three": torch.randn(3)})
    stack = graph.calls[-1]
    into = sorted((e.argument, e.source, e.output) for e in graph.edges if e.target == stack.id)
    assert graph.inputs == ("one", "two.0", "two.1", "three")
    assert into == [(0, 0, 1), (1, -1, 2), (2, 0, 0), (3, -1, 3)]


def test_views_and_writes_in_place_take_no_activation_bytes() -> None:
    """Only tensors with storage of their own count."""

    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = nn.Identity()

        def forward(self, x: Tensor) -> Tensor:
            y = self.inner(x * 2)
            return y.view(-1).add_(1).view(2, 4).T

    graph = extract(Model(), torch.randn(2, 4))
    assert [call.activation_bytes for call in graph.calls] == [32, 0, 0, 0, 0, 0]


def test_a_default_device_elsewhere_does_not_matter() -> None:
    """Tensors that a forward makes lie beside the fakes, wherever the caller's default is."""

    class Adds(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x + torch.ones(3)

    with torch.device("meta"):
        graph = extract(Adds(), torch.randn(3, device="cpu"))
    assert graph.problem is None


def test_fakes_do_not_leak() -> None:
    """No parameter or buffer of the opened model is a fake tensor afterwards."""
    model = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    extract(model, torch.randn(3, 2))
    assert not any(isinstance(tensor, FakeTensor) for tensor in (*model.parameters(), *model.buffers()))


def test_an_attribute_that_refuses_to_be_read_is_left_alone() -> None:
    """A dataclass among the arguments is looked into by what it holds, not by asking."""

    @dataclasses.dataclass
    class Settings:
        scale: float = 2.0

        def __getattribute__(self, name: str) -> Any:
            if name == "scale":
                raise ValueError("per layer")
            return super().__getattribute__(name)

    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = nn.Identity()

        def forward(self, x: Tensor, settings: Settings) -> Tensor:
            return self.inner(x)

    assert extract(Model(), (torch.ones(2), Settings())).problem is None
