"""What a trace sees, and what it leaves alone."""

import random
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from graph import ModuleGraph, extract
from tests.zoo import ZOO, cnn, encoder, llama, nested_lists, reused, siamese, tied_head


def sources(graph: ModuleGraph, call: int) -> list[int]:
    """Producers of the call's data, in order of its arguments."""
    return [edge.source for edge in graph.edges if edge.target == call]


class _Calls(nn.Module):
    """A module whose forward is a given function of itself and its inputs."""

    def __init__(self, function: Callable[..., object], **children: nn.Module) -> None:
        super().__init__()
        self.function = function
        for name, child in children.items():
            self.add_module(name, child)

    def forward(self, *inputs: Tensor) -> object:
        return self.function(self, *inputs)


def test_every_leaf_call_gets_an_edge() -> None:
    """In every zoo model each leaf call has a data edge into it."""
    for name, made in ZOO.items():
        graph = extract(*made())
        assert graph.problem is None
        reached = {edge.target for edge in graph.edges}
        missing = [c.module for c in graph.calls if c.function is None and c.id not in reached]
        assert missing == [], name


@pytest.mark.parametrize("made", [cnn, tied_head, siamese, reused, nested_lists])
def test_macs_equal_half_of_torchs_flops(made: Callable[[], tuple[nn.Module, object]]) -> None:
    """MACs over all calls are half the flops torch counts on a real run."""
    model, inputs = made()
    graph = extract(model, inputs)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(**inputs) if isinstance(inputs, dict) else model(*inputs)
    assert sum(call.macs for call in graph.calls) == counter.get_total_flops() // 2 > 0


def test_attention_on_cpu_counts_two_products() -> None:
    """The CPU attention kernel, for which torch has no formula, counts scores and weighted sum."""
    query = torch.randn(2, 4, 6, 8)
    model = _Calls(lambda _, q, k, v: F.scaled_dot_product_attention(q, k, v), held=nn.Linear(1, 1))
    graph = extract(model, (query, query, query))
    assert [(c.function, c.macs) for c in graph.calls] == [
        ("scaled_dot_product_attention", 2 * 4 * 6 * 6 * 16)
    ]


def test_a_bilinear_layer_counts_every_product() -> None:
    """Each example, output, and pair of inputs is one."""

    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.both = nn.Bilinear(3, 5, 7)

        def forward(self, one: Tensor, two: Tensor) -> Tensor:
            out: Tensor = self.both(one, two)
            return out

    graph = extract(Model(), (torch.randn(2, 3), torch.randn(2, 5)))
    assert graph.calls[0].macs == 2 * 7 * 3 * 5


def test_functional_read_of_a_weight() -> None:
    """A weight used by a function in a parent's forward is a read of that call, not an edge."""
    graph = extract(*tied_head())
    last = graph.calls[-1]
    assert (last.module, last.function, last.reads) == ("", "linear", ("embed.weight",))
    assert sources(graph, last.id) == [last.id - 1]


def test_tied_weight_is_read_by_the_callers_own_path() -> None:
    """Of a parameter's several paths a call reads the one nearest to it."""
    graph = extract(*llama())
    reads = {call.module: call.reads for call in graph.calls if call.function is None}
    assert reads["lm_head"] == ("lm_head.weight",)
    assert reads["model.embed_tokens"] == ("model.embed_tokens.weight",)


def test_attention_module_is_a_leaf_and_reads_its_uncalled_child() -> None:
    """`nn.MultiheadAttention` never calls `out_proj`: it is one call that reads its weights."""
    graph = extract(*encoder())
    call = graph.calls[0]
    assert (call.module, call.function) == ("layers.0.self_attn", None)
    assert "layers.0.self_attn.out_proj.weight" in call.reads


def test_module_at_two_paths_is_called_by_both() -> None:
    """Calls of a module that sits at two paths go to its paths in turn."""
    modules = [call.module for call in extract(*siamese()).calls if call.function is None]
    assert modules == ["left.0", "left.1", "left.2", "right.0", "right.1", "right.2", "head"]


def test_block_called_three_times_has_three_spans() -> None:
    """Each run of a reused block is a span of calls of its own."""
    graph = extract(*reused())
    lengths = [span.stop - span.start for span in graph.spans if span.module == "block"]
    assert lengths == [5, 5, 5]


def test_in_place_functions_become_the_producer() -> None:
    """What is written in place comes from the writer afterwards, also through a view."""

    def forward(self: nn.Module, x: Tensor) -> Tensor:
        x = self.first(x)
        x[:, 0] = 1.0
        x[:, 1:].mul_(2)
        return self.last(x)

    graph = extract(_Calls(forward, first=nn.Linear(3, 3), last=nn.Linear(3, 3)), torch.randn(2, 3))
    assert [call.function or call.module for call in graph.calls] == [
        "first",
        "setitem",
        "getitem",
        "mul_",
        "last",
    ]
    assert [sources(graph, i) for i in range(5)] == [[-1], [0], [1], [2], [3]]


def test_identity_does_not_take_over_its_argument() -> None:
    """A module that hands its argument on isn't the producer of later uses of the argument."""

    def forward(self: nn.Module, x: Tensor) -> Tensor:
        y = self.first(x)
        self.idle(y)
        return self.last(y)

    model = _Calls(forward, first=nn.Linear(3, 3), idle=nn.Identity(), last=nn.Linear(3, 3))
    assert sources(extract(model, torch.randn(2, 3)), 2) == [0]


def test_tensor_asked_only_for_its_type_is_no_edge() -> None:
    """A leaf given a tensor only for its dtype (as rotary embeddings are) has no edge from it."""
    graph = extract(*llama())
    rotary = next(call for call in graph.calls if call.module.endswith("rotary_emb"))
    embed = next(call for call in graph.calls if call.module == "model.embed_tokens")
    assert len(rotary.inputs) == 2
    assert embed.id not in sources(graph, rotary.id)


def test_getters_of_tensors_are_calls_and_of_shapes_are_not() -> None:
    """`x.T` is a call, `x.shape` isn't."""
    model = _Calls(lambda _, x: x.T.reshape(x.shape), held=nn.Linear(1, 1))
    assert [c.function for c in extract(model, torch.randn(2, 3)).calls] == ["T", "reshape"]


def test_value_dependent_module_is_opaque() -> None:
    """A module that asks a tensor for its value is one flagged call, and the trace goes on."""

    def route(self: nn.Module, x: Tensor) -> Tensor:
        return self.inner(x) if self.inner(x).sum().item() > 0 else x

    model = nn.Sequential(nn.Linear(3, 3), _Calls(route, inner=nn.Linear(3, 3)), nn.Linear(3, 2))
    graph = extract(model, torch.randn(4, 3))
    assert graph.problem is None
    assert [call.module for call in graph.calls] == ["0", "1", "2"]
    assert "depends on the values of tensors" in (graph["1"].opaque or "")
    assert graph.calls[1].reads == ("1.inner.weight", "1.inner.bias")
    assert [sources(graph, i) for i in range(3)] == [[-1], [0], [1]]


def test_dynamic_shape_is_opaque() -> None:
    """A leaf whose output shape depends on values is opaque too."""

    class Nonzero(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x[x.nonzero()[:, 0]]

    graph = extract(nn.Sequential(Nonzero(), nn.Linear(3, 2)), torch.randn(4, 3))
    assert graph.problem is None
    assert graph["0"].opaque is not None


def test_failing_forward_leaves_a_graph_up_to_there() -> None:
    """Any other exception ends the trace with a problem that names the innermost module."""
    model = nn.Sequential(nn.Linear(3, 3), nn.Sequential(nn.Linear(4, 2)), nn.Linear(2, 2))
    graph = extract(model, torch.randn(4, 3))
    assert [call.module for call in graph.calls] == ["0"]
    assert graph.problem is not None
    assert graph.problem.path == "1.0"
    assert graph.problem.message.startswith("RuntimeError: ")


def test_trace_leaves_everything_as_it_was() -> None:
    """Weights, buffers, training flags, random states and the gradient mode stay as they were."""
    model, inputs = cnn()
    model.train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    kept, python = torch.get_rng_state(), random.getstate()
    attributes = {path: set(module.__dict__) for path, module in model.named_modules()}
    extract(model, inputs)
    assert torch.equal(torch.get_rng_state(), kept)
    assert random.getstate() == python
    assert torch.is_grad_enabled()
    assert all(module.training for module in model.modules())
    assert {path: set(module.__dict__) for path, module in model.named_modules()} == attributes
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_same_graph_on_meta_and_under_inference_mode() -> None:
    """Real and meta parameters give the same calls and edges; so does a caller in inference mode."""
    model, inputs = llama()
    graph = extract(model, inputs)
    with torch.inference_mode():
        assert extract(model, inputs).calls == graph.calls
    on_meta = extract(model.to("meta"), inputs)
    assert (on_meta.calls, on_meta.edges) == (graph.calls, graph.edges)


def test_alternating_blocks_are_traced_each() -> None:
    """Blocks whose runs differ though they look alike aren't copied from each other."""

    class Alternating(nn.Module):
        def __init__(self, layer_idx: int) -> None:
            super().__init__()
            self.layer_idx = layer_idx
            self.inner = nn.Linear(3, 3)

        def forward(self, x: Tensor) -> Tensor:
            x = self.inner(x)
            return x.relu() if self.layer_idx % 2 else x.tanh()

    graph = extract(nn.Sequential(*(Alternating(i) for i in range(5))), torch.randn(2, 3))
    assert [c.function for c in graph.calls if c.function] == ["tanh", "relu", "tanh", "relu", "tanh"]
