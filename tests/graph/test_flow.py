"""What the canvas draws."""

import networkx as nx
import pytest
import torch
from torch import Tensor, nn

from graph import Flow, extract, inside, overview
from tests.zoo import ZOO, gpt2, llama, qwen2, reused, tied_head


def titles(flow: Flow) -> list[str]:
    """Titles of the nodes, in order."""
    return [node.title for node in flow.nodes]


def edges(flow: Flow) -> list[str]:
    """Edges by title; nodes of one title are numbered in order."""
    names: dict[str, str] = {}
    seen: dict[str, int] = {}
    for node in flow.nodes:
        seen[node.title] = seen.get(node.title, 0) + 1
        names[node.id] = node.title + (str(seen[node.title]) if seen[node.title] > 1 else "")
    arrows = ((e, "~>" if e.residual else "->") for e in flow.edges)
    return [f"{names[e.source]} {arrow} {names[e.target]}" for e, arrow in arrows]


@pytest.mark.parametrize("made", [llama, qwen2])
def test_decoder_block_comes_out_as_people_draw_it(made) -> None:  # type: ignore[no-untyped-def]
    """A Llama block is norms, projections, attention, gate times up and two residual additions."""
    assert edges(inside(extract(*made()), "model.layers.1")) == [
        "input -> input_layernorm",
        "input_layernorm -> q_proj",
        "input_layernorm -> k_proj",
        "input_layernorm -> v_proj",
        "q_proj -> attention",
        "k_proj -> attention",
        "v_proj -> attention",
        "attention -> o_proj",
        "input ~> +",
        "o_proj -> +",
        "+ -> post_attention_layernorm",
        "post_attention_layernorm -> gate_proj",
        "post_attention_layernorm -> up_proj",
        "gate_proj -> ×",
        "up_proj -> ×",
        "× -> down_proj",
        "+ ~> +2",
        "down_proj -> +2",
        "+2 -> output",
    ]


def test_gpt2_block_with_fused_attention() -> None:
    """GPT-2's fused projection feeds attention through its split, which isn't drawn."""
    flow = inside(extract(*gpt2()), "transformer.h.1")
    assert titles(flow) == [
        "input", "ln_1", "c_attn", "attention", "c_proj", "+", "ln_2", "c_fc", "c_proj", "+", "output",
    ]  # fmt: skip
    assert [(e.source, e.target) for e in flow.edges if e.residual] == [
        ("input", "transformer.h.1:add"),
        ("transformer.h.1:add", "transformer.h.1:add#2"),
    ]


def test_overview_folds_repeated_blocks_into_a_strip() -> None:
    """The folded model is cards round a strip that holds the blocks in order."""
    flow = overview(extract(*llama()))
    assert titles(flow) == ["input", "embed_tokens", "layers", "norm", "lm_head", "output"]
    strip = flow.nodes[2]
    assert (strip.kind, strip.path) == ("strip", "model.layers")
    assert strip.paths == tuple(f"model.layers.{i}" for i in range(4))
    assert strip.subtitle == "4 × LlamaDecoderLayer"
    assert edges(flow) == [
        "input -> embed_tokens",
        "embed_tokens -> layers",
        "layers -> norm",
        "norm -> lm_head",
        "lm_head -> output",
    ]


def test_head_that_is_a_function_is_drawn() -> None:
    """A product in a parent's forward isn't small: it is drawn in the overview too."""
    assert titles(overview(extract(*tied_head()))) == ["input", "embed", "blocks", "norm", "linear", "output"]


def test_block_called_three_times_is_one_card_and_opens_once() -> None:
    """A reused block is one card without a cycle; opened, its first run is shown."""
    graph = extract(*reused())
    assert edges(overview(graph)) == ["input -> embed", "embed -> block", "block -> head", "head -> output"]
    assert titles(inside(graph, "block")) == ["input", "norm", "up", "down", "+", "output"]


@pytest.mark.parametrize("name", ZOO)
def test_every_flow_is_acyclic_and_connected(name: str) -> None:
    """Whatever is opened, edges go forward between nodes that exist, and nothing lies about loose."""
    graph = extract(*ZOO[name]())
    for flow in [overview(graph), *(inside(graph, node.path) for node in graph.modules)]:
        net = nx.DiGraph()
        net.add_nodes_from(node.id for node in flow.nodes)
        net.add_edges_from((edge.source, edge.target) for edge in flow.edges)
        assert len(net) == len(flow.nodes)
        assert nx.is_directed_acyclic_graph(net)
        assert len(net) < 2 or nx.is_weakly_connected(net)


def test_strip_spans_blocks_and_leaves_the_rest_as_cards() -> None:
    """In a sequence only the stretch of repeated blocks is folded."""

    def block(width: int) -> nn.Module:
        return nn.Sequential(nn.Linear(4, width), nn.ReLU(), nn.Linear(width, 4))

    model = nn.Sequential(nn.Linear(3, 4), block(5), block(6), block(5), nn.Linear(4, 2))
    flow = overview(extract(model, (torch.zeros(1, 3),)))
    assert titles(flow) == ["input", "0", "Sequential", "4", "output"]
    assert flow.nodes[2].paths == ("1", "2", "3")


def test_uncalled_module_gives_an_empty_flow_and_unknown_path_an_error() -> None:
    """A module that never runs has nothing to draw; a path that isn't there is refused."""

    class Idle(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.used, self.idle = nn.Linear(1, 1), nn.Sequential(nn.Linear(1, 1))

        def forward(self, x: Tensor) -> Tensor:
            return self.used(x)

    graph = extract(Idle(), (torch.zeros(1, 1),))
    assert inside(graph, "idle") == Flow((), ())
    with pytest.raises(KeyError):
        inside(graph, "nowhere")


def test_ids_that_go_through_a_module_come_from_its_input() -> None:
    """A mask that is passed on beside the data, as by DETR's backbone, is a way round everything."""

    class Inner(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first = nn.Linear(2, 2)

        def forward(self, x: Tensor, flags: Tensor) -> tuple[Tensor, Tensor]:
            return self.first(x), flags + 1

    class Outer(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = Inner()

        def forward(self, x: Tensor, flags: Tensor) -> Tensor:
            found, mask = self.inner(x, flags)
            return found * mask

    graph = extract(Outer(), (torch.zeros(3, 2), torch.ones(3, 2, dtype=torch.int64)))
    assert edges(inside(graph, "inner")) == ["input -> first", "first -> output", "input -> output"]
