"""Models and inputs that no trace was made for: each has its tree, and a problem in words if it must."""

import threading
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import surgery
from graph import extract
from tests.graph.traced import modules_called


def quantised() -> Tensor:
    """A tensor of eight-bit numbers with a scale."""
    return torch.quantize_per_tensor(torch.ones(2, 2), 0.1, 0, torch.qint8)


def nested() -> Tensor:
    """Two tensors of different lengths in one."""
    return torch.nested.nested_tensor([torch.ones(2), torch.ones(3)])


def jagged() -> Tensor:
    """The same in the layout that torch compiles."""
    return torch.nested.nested_tensor([torch.ones(2), torch.ones(3)], layout=torch.jagged)


def sparse() -> Tensor:
    """A tensor of coordinates."""
    return torch.eye(3).to_sparse()


def compressed() -> Tensor:
    """A sparse tensor in rows."""
    return torch.eye(3).to_sparse_csr()


ODD = pytest.mark.parametrize("make", [quantised, nested, jagged, sparse, compressed])


def holding(value: Any, kind: str) -> nn.Module:
    """A chain whose first module holds `value` and doesn't use it."""
    model = nn.Sequential(nn.Identity(), nn.Linear(2, 2))
    if kind == "parameter":
        model[0].held = nn.Parameter(value, requires_grad=False)
    elif kind == "buffer":
        model[0].register_buffer("held", value)
    else:
        model[0].held = value
    return model


@ODD
@pytest.mark.parametrize("kind", ["parameter", "buffer", "attribute"])
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_an_odd_tensor_that_is_not_used_is_in_nobodys_way(make: Callable[[], Tensor], kind: str) -> None:
    """The model opens and is traced, on fakes and on values; the tensor shows where it is state."""
    model = holding(make(), kind)
    for real in (False, True):
        graph = extract(model, torch.ones(1, 2), real=real)
        assert graph.problem is None
        assert modules_called(graph) == ["0", "1"]
        assert len(graph["0"].tensors) == (kind != "attribute")
        assert all(type(side) is int for tensor in graph["0"].tensors for side in tensor.shape if side != 3)
    assert surgery.open(model, torch.ones(1, 2)).graph.problem is None


def test_a_module_that_uses_a_quantised_weight_is_opaque() -> None:
    """There are no fakes of it, so what the module returns is guessed."""

    class Dequantising(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("packed", quantised())

        def forward(self, x: Tensor) -> Tensor:
            return x @ self.packed.dequantize()

    model = nn.Sequential(Dequantising(), nn.Linear(2, 2))
    graph = extract(model, torch.ones(1, 2))
    assert graph.problem is None
    assert "shapes alone cannot stand for" in (graph["0"].opaque or "")
    assert extract(model, torch.ones(1, 2), real=True)["0"].opaque is None


@pytest.mark.parametrize(("make", "word"), [(quantised, "quantised"), (nested, "nested"), (jagged, "nested")])
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_inputs_without_fakes_are_a_problem_in_words(make: Callable[[], Tensor], word: str) -> None:
    """The tree shows, and a run on values needs no fakes."""
    model = nn.Sequential(nn.Identity())
    graph = extract(model, make())
    assert [node.path for node in graph.modules] == ["", "0"]
    assert graph.problem is not None
    assert graph.problem.message == f"an input is a {word} tensor, of which shapes alone say too little"
    real = extract(model, make(), real=True)
    assert real.problem is None
    assert modules_called(real) == ["0"]


@pytest.mark.parametrize("make", [sparse, compressed])
@pytest.mark.parametrize("real", [False, True])
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_sparse_inputs_may_be_handed_on(make: Callable[[], Tensor], real: bool) -> None:
    """A module that returns what it was given has an edge on, sparse or not."""
    graph = extract(nn.Sequential(nn.Identity(), nn.Identity()), make(), real=real)
    assert graph.problem is None
    assert [(edge.source, edge.target) for edge in graph.edges] == [(-1, 0), (0, 1), (1, -2)]


def test_inputs_that_contain_themselves_are_a_problem_in_words() -> None:
    """They end in a sentence, and the tree shows."""
    given: list[Any] = [torch.ones(1, 2)]
    given.append(given)
    graph = extract(nn.Sequential(nn.Linear(2, 2)), (given,))
    assert [node.path for node in graph.modules] == ["", "0"]
    assert graph.problem is not None


def test_inputs_that_raise_when_they_are_looked_at_are_a_problem_in_words() -> None:
    """Nothing that a class of somebody's does escapes."""

    class Torn(dict[str, Tensor]):
        def values(self) -> Any:
            raise ValueError("torn")

    graph = extract(nn.Linear(2, 2), Torn(input=torch.ones(1, 2)))
    assert graph.problem is not None
    assert graph.problem.message == "ValueError: torn"


def test_a_class_that_wants_arguments_to_be_made_is_opened() -> None:
    """A shell makes objects without the class's own `__new__`."""

    class Wants(nn.Module):
        def __new__(cls, width: int) -> "Wants":
            return super().__new__(cls)

        def __init__(self, width: int) -> None:
            super().__init__()
            self.linear = nn.Linear(width, width)

        def forward(self, x: Tensor) -> Tensor:
            return self.linear(x)

    session = surgery.open(Wants(2), torch.ones(1, 2))
    assert session.graph.problem is None
    assert modules_called(session.graph) == ["linear"]


def test_a_traced_program_is_a_module_like_any() -> None:
    """A GraphModule has a class to itself, which makes another class when it is called."""
    model = torch.fx.symbolic_trace(nn.Sequential(nn.Linear(2, 2), nn.ReLU()))
    session = surgery.open(model, torch.ones(1, 2))
    assert session.graph.problem is None
    assert modules_called(session.graph) == ["0", "1"]


@pytest.mark.parametrize("real", [False, True])
def test_a_holder_that_contains_itself_is_copied_so(real: bool) -> None:
    """A dict in itself, a list in itself, a tuple with a list that holds the tuple."""
    loop: dict[str, Any] = {}
    loop["loop"] = loop
    ring: list[Any] = []
    ring.append(ring)
    pair: tuple[list[Any], Tensor] = ([], torch.ones(2))
    pair[0].append(pair)

    class Loops(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.loop, self.ring, self.pair = loop, ring, pair

        def forward(self, x: Tensor) -> Tensor:
            assert self.loop["loop"] is self.loop is not loop
            assert self.ring[0] is self.ring is not ring
            return x * self.pair[1]

    assert extract(Loops(), torch.ones(2), real=real).problem is None


def test_a_config_with_a_lock_is_the_shells_own() -> None:
    """What cannot be copied of it is shared; its fields are not."""

    class Config:
        model_type = "own"

        def __init__(self) -> None:
            self.lock, self.widths = threading.Lock(), [2]

        def to_dict(self) -> dict[str, Any]:
            return {"widths": self.widths}

    model = nn.Sequential(nn.ReLU())
    model.config = Config()
    session = surgery.open(model, torch.ones(1, 2))
    assert session.graph.problem is None
    assert session.model.config.lock is model.config.lock
    assert session.model.config.widths == [2]
    assert session.model.config.widths is not model.config.widths


def test_an_attribute_that_answers_to_nothing_is_in_nobodys_way() -> None:
    """An object may raise what it likes when it is asked for a name."""

    class Rude:
        def __getattr__(self, name: str) -> Any:
            raise KeyError(name)

    assert surgery.open(holding(Rude(), "attribute"), torch.ones(1, 2)).graph.problem is None


def test_names_with_dots_are_paths_all_the_same() -> None:
    """Children put past `add_module` may hold a dot in their names; ties and parents are found."""
    model = nn.Sequential(nn.Linear(2, 2))
    twice, inner = nn.Linear(2, 2), nn.Sequential()
    twice._parameters["x.y"] = model[0].weight
    inner._modules["p.q"] = nn.Linear(2, 2)
    model._modules |= {"a.b": twice, "c.d": twice, "e.f": inner}
    session = surgery.open(model, torch.ones(1, 2))
    assert session.graph.problem is None
    assert [node.path for node in session.graph.modules] == ["", "0", "a.b", "c.d", "e.f", "e.f.p.q"]
    assert [(tie.kind, tie.paths) for tie in session.graph.ties] == [
        ("parameter", ("0.weight", "a.b.x.y", "c.d.x.y")),
        ("module", ("a.b", "c.d")),
    ]
    assert session._repr_html_()


@pytest.mark.parametrize("inside", [False, True])
def test_models_made_in_inference_mode_are_opened(inside: bool) -> None:
    """Wherever the caller is; their fingerprint is that of the same model made outside."""
    torch.manual_seed(0)
    plain = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    torch.manual_seed(0)
    with torch.inference_mode():
        model, x = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2)), torch.ones(3, 2)
    with torch.inference_mode(inside):
        session = surgery.open(model, x)
        assert session.graph.problem is None
        assert session.retrace().problem is None
        assert session.base.fingerprint == surgery.open(plain).base.fingerprint


def test_what_cannot_be_copied_is_named_with_its_path() -> None:
    """The tree shows and the problem says where; a session is refused in the same words."""
    scales = torch.quantize_per_channel(
        torch.ones(2, 2), torch.ones(2), torch.zeros(2), 0, torch.quint8
    )  # a scheme that torch does not clone
    model = holding(scales, "buffer")
    graph = extract(model, torch.ones(1, 2), real=True)
    assert [node.path for node in graph.modules] == ["", "0", "1"]
    assert graph.problem is not None
    assert graph.problem.path == "0"
    assert "what it holds cannot be copied" in graph.problem.message
    with pytest.raises(surgery.SurgeryError, match="0: what it holds cannot be copied"):
        surgery.open(model, torch.ones(1, 2))
