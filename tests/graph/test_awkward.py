"""Modules that other tracers trip over: wrapped, hooked, lazy, parametrised, packed, sealed."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrizations

from graph import extract
from tests.graph.traced import modules_called, state_of


def two_layers() -> nn.Sequential:
    """A small chain."""
    return nn.Sequential(nn.Linear(4, 4), nn.ReLU())


@pytest.mark.parametrize("where", ["root", "child"])
def test_a_compiled_wrapper_is_the_module_it_wraps(where: str) -> None:
    """`torch.compile` adds no path and hides no call."""
    inner = torch.compile(two_layers())
    graph = extract(inner if where == "root" else nn.Sequential(inner), torch.randn(2, 4))
    prefix = "" if where == "root" else "0."
    assert graph.problem is None
    assert modules_called(graph) == [f"{prefix}0", f"{prefix}1"]
    assert not any("_orig_mod" in node.path for node in graph.modules)


def test_a_module_compiled_in_place_is_seen() -> None:
    """`module.compile()` replaces the call itself; the trace goes by the forward."""
    model = two_layers()
    model[0].compile()
    assert modules_called(extract(model, torch.randn(2, 4))) == ["0", "1"]


def test_hooks_run_and_stay() -> None:
    """What a hook adds is a call; the hooks are registered afterwards as before, in their order."""
    model = two_layers()
    model[0].register_forward_hook(lambda module, args, out: out + 1)
    model[1].register_forward_pre_hook(lambda module, args: None)
    before = state_of(model)
    graph = extract(model, torch.randn(2, 4))
    assert [(c.module, c.function) for c in graph.calls] == [("0", None), ("", "add"), ("1", None)]
    assert state_of(model) == before


def test_a_hook_that_removes_itself_removes_only_that_of_the_shell() -> None:
    """A handle that a module keeps belongs to its own hooks, on the shell too."""

    class Once(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.handle = self.register_forward_pre_hook(lambda module, args: module.handle.remove())

        def forward(self, x: Tensor) -> Tensor:
            return x + 1

    model = Once()
    extract(model, torch.randn(2))
    assert len(model._forward_pre_hooks) == 1


@pytest.mark.parametrize("real", [False, True])
def test_lazy_modules_take_their_shapes_on_the_shell(real: bool) -> None:
    """Shapes come from the example inputs; the opened model is as lazy as before."""
    model = nn.Sequential(nn.LazyLinear(5), nn.LazyBatchNorm1d(), nn.LazyLinear(2))
    before = state_of(model)
    graph = extract(model, torch.randn(3, 7), real=real)
    shapes = {tensor.path: tensor.shape for node in graph.modules for tensor in node.tensors}
    assert shapes["0.weight"] == (5, 7)
    assert shapes["1.running_mean"] == (5,)
    assert shapes["2.weight"] == (2, 5)
    assert graph["0"].tensors[0].size_bytes == 5 * 7 * 4
    assert graph.calls[0].reads == ("0.weight", "0.bias")
    assert state_of(model) == before
    assert model[0].has_uninitialized_params()
    assert model(torch.randn(3, 9)).shape == (3, 2)


def test_lazy_modules_without_inputs_hold_nothing_yet() -> None:
    """Without inputs a lazy tensor has no element."""
    assert [t.shape for t in extract(nn.LazyLinear(5)).modules[0].tensors] == [(0,), (0,)]


def test_alike_lazy_modules_are_each_given_shapes() -> None:
    """Blocks that look alike while lazy are not copied from each other."""
    model = nn.Sequential(*(nn.Sequential(nn.LazyLinear(6)) for _ in range(4)))
    graph = extract(model, torch.randn(2, 6))
    assert [graph[f"{i}.0"].tensors[0].shape for i in range(4)] == [(6, 6)] * 4


def test_parametrised_weights_are_calls() -> None:
    """A parametrisation is a module that makes the weight its owner's function reads."""
    model = nn.Sequential(
        parametrizations.weight_norm(nn.Linear(4, 4)), parametrizations.orthogonal(nn.Linear(4, 4))
    )
    graph = extract(model, torch.randn(2, 4))
    assert graph.problem is None
    made, used = graph.calls[:2]
    assert (made.module, used.module, used.function) == ("0.parametrizations.weight.0", "0", "linear")
    assert made.reads == tuple(f"0.parametrizations.weight.original{i}" for i in (0, 1))
    assert [edge.source for edge in graph.edges if edge.target == used.id] == [-1, made.id]


def scripted() -> nn.Module:
    """A module in TorchScript."""
    return torch.jit.script(two_layers())


def patched() -> nn.Module:
    """A module whose forward was replaced by a closure."""
    model = two_layers()
    old = model.forward
    model.__dict__["forward"] = lambda x: old(x) * 2
    return model


@pytest.mark.parametrize("made", [scripted, patched])
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_what_cannot_be_taken_apart_is_opaque(made: Callable[[], nn.Module]) -> None:
    """It is one flagged call that may read all it holds; its tree still shows; the rest is traced."""
    model = nn.Sequential(nn.Linear(4, 4), made(), nn.Linear(4, 2))
    graph = extract(model, torch.randn(2, 4))
    assert graph.problem is None
    assert modules_called(graph) == ["0", "1", "2"]
    assert graph["1"].opaque in (
        "a scripted module cannot be taken apart",
        "its forward was replaced by a closure",
    )
    assert graph.calls[1].reads == ("1.0.weight", "1.0.bias")
    assert "1.1" in graph


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_sealed_module_is_run_on_real_tensors() -> None:
    """Its output is then no guess: the shape is its own."""

    class Doubling(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return torch.cat([x, x], -1)

    model = nn.Sequential(torch.jit.script(Doubling()).eval(), nn.Linear(8, 2)).eval()
    assert extract(model, torch.randn(2, 4)).problem is not None
    graph = extract(model, torch.randn(2, 4), real=True)
    assert graph.problem is None
    assert graph.calls[0].outputs[0].shape == (2, 8)


def test_a_scripted_root_shows_its_tree_and_says_why() -> None:
    """There is no graph of calls, but a tree with parameters, and a problem in words."""
    graph = extract(scripted(), torch.randn(2, 4))
    assert [node.path for node in graph.modules] == ["", "0", "1"]
    assert graph.problem is not None
    assert graph.problem.message == "a scripted module cannot be taken apart"


class Packed(Tensor):
    """A weight kept in four bits per element, as quantisation packages wrap them."""

    @staticmethod
    def __new__(cls, codes: Tensor, shape: tuple[int, ...]) -> "Packed":
        return Tensor._make_wrapper_subclass(cls, shape, dtype=torch.float32)

    def __init__(self, codes: Tensor, shape: tuple[int, ...]) -> None:
        self.codes = codes

    def __tensor_flatten__(self) -> tuple[list[str], object]:
        return ["codes"], None

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is torch.ops.aten.detach.default:
            return Packed(args[0].codes, tuple(args[0].shape))
        raise NotImplementedError(f"no kernel for {func}")


def test_a_wrapped_weight_counts_what_it_wraps() -> None:
    """A packed weight is traced by its outer shape, and counts the bytes it really takes."""
    model = nn.Linear(16, 8, bias=False)
    model.weight = nn.Parameter(Packed(torch.zeros(64, dtype=torch.uint8), (8, 16)), requires_grad=False)
    graph = extract(model, torch.randn(2, 16))
    (weight,) = graph[""].tensors
    assert (weight.shape, weight.size_bytes) == ((8, 16), 64)
    assert graph.problem is None
    assert graph.calls[0].outputs[0].shape == (2, 8)


def test_a_layer_of_a_quantisation_package_that_fails_is_opaque() -> None:
    """Whatever its kernel raises on fakes, it is one opaque call as wide as the layer says."""

    class Linear4bit(nn.Module):
        in_features, out_features = 4, 6

        def forward(self, x: Tensor) -> Tensor:
            raise AttributeError("quant_state")

    Linear4bit.__module__ = "bitsandbytes.nn.modules"
    graph = extract(nn.Sequential(Linear4bit(), nn.Linear(6, 2)), torch.randn(2, 4))
    assert graph.problem is None
    assert "packed weights" in (graph["0"].opaque or "")
    assert graph.calls[0].outputs[0].shape == (2, 6)


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")
def test_dynamically_quantised_linears_are_traced() -> None:
    """Torch's own quantised layers have fake kernels."""
    model = torch.ao.quantization.quantize_dynamic(
        nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3)), {nn.Linear}, dtype=torch.qint8
    )
    graph = extract(model, torch.randn(2, 4))
    assert graph.problem is None
    assert [tuple(c.outputs[0].shape) for c in graph.calls if c.function] == [(2, 8), (2, 3)]


@pytest.mark.parametrize("layer", [nn.LSTM(4, 8, 2, bidirectional=True), nn.GRU(4, 8), nn.RNN(4, 8)])
def test_recurrent_layers_are_one_call(layer: nn.Module) -> None:
    """A recurrent layer is a leaf with all its outputs, the hidden states too."""
    graph = extract(nn.Sequential(layer), torch.randn(5, 2, 4))
    assert modules_called(graph) == ["0"]
    assert len(graph.calls[0].outputs) in (2, 3)
    assert set(graph.calls[0].reads) == {f"0.{name}" for name, _ in layer.named_parameters()}
