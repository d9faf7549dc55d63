"""What is said of modules, on the whole zoo."""

import pytest

import surgery
from graph import costs, extract
from tests.zoo import ZOO
from widgets.facts import activations, selected, together


@pytest.mark.parametrize("name", ZOO)
def test_everything_selected_is_the_model(name: str) -> None:
    """All modules together have the parameters and MACs of the model, however tied or reused."""
    graph = extract(*ZOO[name]())
    whole = costs(graph)
    assert together(graph, list(graph.by_path)) == (whole.parameters, whole.macs_per_token)
    assert together(graph, [""]) == (whole.parameters, whole.macs_per_token)


@pytest.mark.parametrize("name", ZOO)
def test_what_ran_has_activations(name: str) -> None:
    """Every module whose forward ran says what goes in and out; a list that only holds others does not."""
    graph = extract(*ZOO[name]())
    ran = {span.module for span in graph.spans} | {call.module for call in graph.calls if not call.function}
    assert set(activations(graph, list(graph.by_path))) == ran


def test_tied_blocks_count_once() -> None:
    """Two blocks that share their weights have those of one."""
    session = surgery.open(*ZOO["llama"]())
    session.tie("model.layers[2]", to="model.layers[1]")
    one = together(session.graph, ["model.layers.1"])[0]
    assert together(session.graph, ["model.layers.1", "model.layers.2"])[0] == one > 0


def test_shapes_follow_the_figures() -> None:
    """A norm says weight and bias."""
    graph = extract(*ZOO["encoder"]())
    path = next(node.path for node in graph.modules if node.class_name == "LayerNorm")
    labels = [fact["label"] for fact in selected(graph, [path])]
    assert labels[:4] == ["Class", "Parameters", "weight", "bias"]
