"""Untie together: a tie falls in two, at no loss."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

import surgery
from surgery import SurgeryError
from tests.surgery.by_hand import small
from tests.surgery.states import run


def test_a_tie_falls_in_two() -> None:
    """Targets share with each other, the rest with each other, and nothing with the other side."""
    model, inputs = small("llama")
    session = surgery.open(model, inputs)
    session.tie("model.layers[1:4]", to="model.layers[0]")
    before = run(session.model, inputs)
    session.untie("model.layers[2:4]", together=True)
    blocks: Any = session.model.get_submodule("model.layers")
    weights = [block.mlp.up_proj.weight for block in blocks]
    assert weights[0] is weights[1] and weights[2] is weights[3] and weights[0] is not weights[2]
    assert weights[0].data_ptr() != weights[2].data_ptr()
    assert torch.equal(run(session.model, inputs), before)
    each = sum(parameter.numel() for parameter in blocks[0].parameters())
    tied = sum(parameter.numel() for parameter in session.model.parameters())
    session.undo()
    assert sum(parameter.numel() for parameter in session.model.parameters()) == tied - each


def test_each_by_itself_shares_nothing() -> None:
    """Without `together` each target has parameters of its own."""
    session = surgery.open(*small("llama"))
    session.tie("model.layers[1:4]", to="model.layers[0]")
    session.untie("model.layers[2:4]")
    blocks: Any = session.model.get_submodule("model.layers")
    assert len({id(block.mlp.up_proj.weight) for block in blocks}) == 3


def test_a_module_at_several_paths_is_taken_apart() -> None:
    """Two places of one object get objects of their own around one new set; the others keep theirs."""
    block = nn.Linear(4, 4)
    model = nn.Sequential(block, block, block, block)
    session = surgery.open(model, (torch.randn(2, 4),))
    before = run(session.model, session.opened.inputs)
    session.untie("[2:4]", together=True)
    made: Any = session.model
    assert made[0] is made[1] and made[2].weight is made[3].weight and made[2].weight is not made[0].weight
    assert torch.equal(run(made, session.opened.inputs), before)


def test_all_of_a_tie_together_is_refused() -> None:
    """There is nobody to be taken apart from."""
    session = surgery.open(*small("llama"))
    session.tie("model.layers[1]", to="model.layers[0]")
    with pytest.raises(SurgeryError, match="shares no parameter with another path that stays behind"):
        session.untie("model.layers[0:2]", together=True)
