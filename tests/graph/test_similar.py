"""What counts as like a module: its class, its role in every block, or its very shape."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from graph.extract import extract
from graph.nodes import ModuleGraph
from graph.similar import KINDS, similar
from tests.zoo import ZOO


@pytest.fixture(scope="module")
def graph() -> ModuleGraph:
    """The small Llama's graph."""
    model, inputs = ZOO["llama"]()
    return extract(model, inputs)


def test_role_is_the_same_place_in_every_block(graph: ModuleGraph) -> None:
    """The up-projections of all blocks, and not the gates, which have their shape."""
    ups = tuple(f"model.layers.{index}.mlp.up_proj" for index in range(4))
    assert similar(graph, [ups[1]], "role") == ups
    assert similar(graph, ["model.layers.2"], "role") == tuple(f"model.layers.{index}" for index in range(4))
    assert similar(graph, ["lm_head"], "role") == ("lm_head",)


def test_class_and_shape(graph: ModuleGraph) -> None:
    """All linear modules; of one shape those that are alike."""
    linear = {node.path for node in graph.modules if node.class_name == "Linear"}
    assert set(similar(graph, ["lm_head"], "class")) == linear
    alike = similar(graph, ["model.layers.0.mlp.up_proj"], "shape")
    assert "model.layers.3.mlp.gate_proj" in alike and "model.layers.0.mlp.down_proj" not in alike


@pytest.mark.parametrize("kind", KINDS)
def test_a_module_is_like_itself(graph: ModuleGraph, kind: str) -> None:
    """Whatever is asked, of any module."""
    assert all(node.path in similar(graph, [node.path], kind) for node in graph.modules)


def test_a_role_asks_for_the_class() -> None:
    """In a list of different things nothing is alike by standing in it."""
    graph = extract(nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 2)), (torch.ones(1, 2),))
    assert similar(graph, ["0"], "role") == ("0", "2")
