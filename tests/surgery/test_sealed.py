"""Scripted and quantised modules: edits go around them, never into them, whatever the operation."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

import surgery
from surgery import SurgeryError
from surgery.journal import Journal
from surgery.registry import operation_named
from surgery.runs import Live, carry_out
from tests.surgery.states import run, snapshot


class Eight(nn.Module):
    """A linear map whose weight is kept in 8 bits, with a scale per row."""

    def __init__(self) -> None:
        super().__init__()
        weight = torch.randint(-127, 127, (4, 4), dtype=torch.int8)
        self.weight = nn.Parameter(weight, requires_grad=False)
        self.scale = nn.Parameter(torch.full((4, 1), 0.01))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x @ (self.weight * self.scale).T


class Stack(nn.Module):
    """Blocks of an 8-bit and an ordinary linear map."""

    def __init__(self) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(nn.Sequential(Eight(), nn.Linear(4, 4)) for _ in range(3))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for block in self.blocks:
            x = x + block(x)
        return x


def stack() -> surgery.Session:
    """A session on a `Stack`."""
    torch.manual_seed(0)
    return surgery.open(Stack().eval(), (torch.randn(2, 4),))


INSIDE: list[tuple[str, dict[str, Any]]] = [
    ("tie", {"targets": "blocks[1]", "to": "blocks.0"}),
    ("tie", {"targets": "blocks[1][0]", "to": "blocks.0.0", "but": "vectors"}),
    ("merge", {"targets": "blocks[0:2]"}),
    ("duplicate", {"targets": "blocks[1]"}),
    ("sparsify", {"targets": "**"}),
    ("cast", {"targets": "**"}),
    ("freeze", {"targets": "blocks[0][0]"}),
    ("replace", {"targets": "blocks[0]", "by": "blocks[1]"}),
]


@pytest.mark.parametrize(("operation", "fields"), INSIDE, ids=str)
def test_edits_inside_are_refused(operation: str, fields: dict[str, Any]) -> None:
    """One place refuses them for every operation, live and previewed, by the path of the quantised module."""
    session = stack()
    before = snapshot(session.model)
    step = operation_named(operation).from_fields(fields)
    for act in (session.apply, session.preview):
        with pytest.raises(SurgeryError, match="quantised"):
            act(step)
    assert snapshot(session.model) == before


AROUND: list[tuple[str, dict[str, Any]]] = [
    ("remove", {"targets": "blocks[1]"}),
    ("move", {"targets": "blocks[0]", "to": "blocks[2]", "place": "after"}),
    ("duplicate", {"targets": "blocks[1]", "shared": True}),
    ("insert", {"to": "blocks[1]", "module": "linear", "width": 4}),
    ("replace", {"targets": "blocks[0][0]", "module": "linear", "width": 4}),
    ("wrap", {"targets": "blocks[0][0]"}),
    ("skip", {"targets": "blocks[*][0]"}),
    ("freeze", {"targets": "**:Linear"}),
    ("attach", {"targets": "**:Linear", "rank": 2}),
]


@pytest.mark.parametrize(("operation", "fields"), AROUND, ids=str)
def test_edits_around_are_not(operation: str, fields: dict[str, Any]) -> None:
    """Blocks move, and the module as a whole is wrapped or gives way; the weights stay the opened model's."""
    session = stack()
    session.apply(operation_named(operation).from_fields(fields))
    run(session.model, session.opened.inputs)
    kept = {parameter.data_ptr() for parameter in session.opened.model.parameters()}
    eights = [module for module in session.model.modules() if isinstance(module, Eight)]
    assert all(eight.weight.data_ptr() in kept for eight in eights)


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning", "ignore::FutureWarning")
def test_torchs_own_quantised_modules() -> None:
    """What lies in a dynamically quantised linear map is named with the map."""
    model = torch.ao.quantization.quantize_dynamic(
        nn.Sequential(nn.Linear(4, 4), nn.ReLU()).eval(), {nn.Linear}, dtype=torch.qint8
    )
    session = surgery.open(model, (torch.randn(2, 4),))
    for operation, fields in (
        ("skip", {"targets": "0._packed_params"}),
        ("wrap", {"targets": "0._packed_params"}),
        ("replace", {"targets": "0._packed_params", "module": "identity"}),
    ):
        with pytest.raises(SurgeryError, match="0: is quantised, and nothing inside it can be edited"):
            session.apply(operation_named(operation).from_fields(fields))


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_scripted_modules() -> None:
    """A session does not open one; planned on the bare model, an edit inside it is refused all the same."""
    model = nn.Sequential(nn.Linear(2, 2), torch.jit.script(nn.Sequential(nn.Linear(2, 2)))).eval()
    with pytest.raises(SurgeryError, match="1: is scripted, and nothing inside it can be edited"):
        carry_out(operation_named("freeze").of("1"), model, Journal(), Live())
    assert all(parameter.requires_grad for parameter in model.parameters())


def test_numbers_of_a_model_are_no_quantised_weights() -> None:
    """A parameter of whole numbers at the root seals nothing below it."""

    class Offset(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.offset = nn.Parameter(torch.zeros(4, dtype=torch.uint8), requires_grad=False)
            self.linear = nn.Linear(4, 4)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.linear(x) + self.offset

    session = surgery.open(Offset().eval(), (torch.randn(2, 4),))
    session.sparsify("linear")
    session.freeze("linear")
