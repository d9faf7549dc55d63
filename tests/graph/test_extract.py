"""The graph of a model, with and without example inputs."""

import pytest
from torch import nn

from graph import extract
from tests.graph.golden import FOLDER, golden
from tests.zoo import ATLAS, ZOO, llama, siamese


@pytest.mark.parametrize("name", ATLAS)
def test_graph_equals_its_golden_text(name: str) -> None:
    """The graph of each model is the one on file (`make golden` renews it)."""
    assert golden(name) == (FOLDER / f"{name}.txt").read_text(encoding="utf-8")


def test_without_inputs_there_is_a_tree_and_no_calls() -> None:
    """Without example inputs the graph has tree, tensors and ties only."""
    graph = extract(llama()[0])
    assert (graph.calls, graph.edges, graph.spans) == ((), (), ())
    assert "model.layers.3.mlp.up_proj" in graph
    assert len(graph.ties) == 1


def test_reused_module_is_a_node_per_path() -> None:
    """A module at two paths is two nodes with the same structure."""
    graph = extract(siamese()[0])
    assert graph["left"].structure == graph["right"].structure
    assert [node.path for node in graph.modules if node.class_name == "ReLU"] == ["left.1", "right.1"]


def test_origins_are_given_or_the_path() -> None:
    """An origin id is what the caller says for that module object, else the path."""
    model = nn.Sequential(nn.Linear(1, 1), nn.Linear(1, 1))
    graph = extract(model, origins={model[1]: "step-3:1"})
    assert [node.origin for node in graph.modules] == ["", "0", "step-3:1"]


def test_module_that_holds_its_ancestor_is_not_walked_forever() -> None:
    """A cycle in the tree is cut where it closes."""
    model = nn.Sequential(nn.Linear(1, 1))
    model[0].owner = model
    assert [node.path for node in extract(model).modules] == ["", "0"]


def test_containers_are_marked() -> None:
    """Lists, sequences and dictionaries are containers, other modules aren't."""
    graph = extract(ZOO["nested_lists"]()[0])
    assert [node.path for node in graph.modules if node.container] == [
        "grid", "grid.0", "grid.1", "grid.2", "heads",
    ]  # fmt: skip
