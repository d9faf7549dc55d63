"""What a trace must leave as it was: inputs, weights, tensors held anywhere, random states, classes."""

import dataclasses
import random
from collections import defaultdict, deque
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from transformers import BatchEncoding
from transformers.utils import ModelOutput

from graph import extract, shell
from tests.graph.traced import modules_called

RUNS = pytest.mark.parametrize("real", [False, True], ids=["on fakes", "on values"])


class Named(NamedTuple):
    """A named tuple with a tensor."""

    x: Tensor
    size: int = 1


@dataclasses.dataclass
class Record:
    """A dataclass with a tensor."""

    x: Tensor


@dataclasses.dataclass(frozen=True)
class Frozen:
    """A dataclass that nobody can write to."""

    x: Tensor


@dataclasses.dataclass(frozen=True, slots=True)
class Slotted:
    """A dataclass without a `__dict__`."""

    x: Tensor


@dataclasses.dataclass
class Output(ModelOutput):
    """What models of transformers return, and take."""

    x: Tensor | None = None


class Batch:
    """An object of a class that nobody knows."""

    def __init__(self, x: Tensor) -> None:
        self.x = x


class Layers:
    """An object with objects that have tensors, as a cache has layers."""

    def __init__(self, x: Tensor) -> None:
        self.layers = [Batch(x)]

    @property
    def x(self) -> Tensor:
        """The tensor of the first layer."""
        return self.layers[0].x


class Own(dict[str, Any]):
    """A dict of a class of its own."""


class Words(list[Any]):
    """A list of a class of its own."""


def by_name(**items: Tensor) -> dict[str, Tensor]:
    """A dict."""
    return items


HOLDERS: list[Callable[[Tensor], Any]] = [
    Named,
    Record,
    Frozen,
    Slotted,
    Batch,
    Layers,
    lambda x: SimpleNamespace(x=x),
    lambda x: Output(x=x),
    lambda x: BatchEncoding({"x": x}),
    lambda x: by_name(x=x),
    lambda x: Own(x=x),
    lambda x: defaultdict(list, x=x),
    lambda x: [x],
    lambda x: (x,),
    lambda x: Words([x]),
    lambda x: deque([x], 3),
]


def tensor_of(holder: Any) -> Tensor:
    """The tensor in one of HOLDERS."""
    found: Tensor = holder.x if hasattr(holder, "x") else holder["x" if hasattr(holder, "keys") else 0]
    return found


class Writer(nn.Module):
    """Writes into what it is given, and says what that is."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(2, 2)

    def forward(self, held: Any) -> Tensor:
        seen_types.append(type(held))
        return self.linear(tensor_of(held).add_(1))


seen_types: list[type] = []


@RUNS
@pytest.mark.parametrize("make", HOLDERS)
def test_inputs_are_not_written_into(make: Callable[[Tensor], Any], real: bool) -> None:
    """Whatever holds them, tensors given are exchanged; the model is given a holder of the same class."""
    held = make(torch.zeros(1, 2))
    seen_types.clear()
    graph = extract(Writer(), (held,), real=real)
    assert graph.problem is None
    assert modules_called(graph) == ["linear"]
    assert torch.equal(tensor_of(held), torch.zeros(1, 2))
    assert seen_types == [type(held)]


@RUNS
def test_inputs_in_a_mapping_of_any_class_are_keyword_arguments(real: bool) -> None:
    """What a tokenizer returns is given by name, as a dict is."""
    graph = extract(nn.Linear(2, 2), BatchEncoding({"input": torch.zeros(1, 2)}), real=real)
    assert graph.problem is None
    assert graph.inputs == ("input",)


@RUNS
def test_a_mapping_that_cannot_be_copied_is_given_as_a_dict(real: bool) -> None:
    """Its tensors are exchanged all the same."""
    from types import MappingProxyType

    x = torch.zeros(1, 2)
    assert extract(Writer(), (MappingProxyType({"x": x}),), real=real).problem is None
    assert torch.equal(x, torch.zeros(1, 2))


@RUNS
def test_a_tensor_given_twice_is_one_tensor(real: bool) -> None:
    """The model sees the same object at both places, as it would when called."""

    class Same(nn.Module):
        def forward(self, one: Tensor, others: list[Tensor]) -> Tensor:
            assert one is others[0] is others[1]
            return one * 2

    x = torch.zeros(2)
    assert extract(Same(), (x, [x, x]), real=real).problem is None


def test_a_given_object_without_tensors_is_itself() -> None:
    """Only what holds a tensor is copied."""
    sentinel = SimpleNamespace
    given = Batch(sentinel)  # type: ignore[arg-type]
    seen = []

    class Takes(nn.Module):
        def forward(self, x: Tensor, other: Any) -> Tensor:
            seen.append(other)
            return x * 2

    extract(Takes(), (torch.zeros(2), given))
    assert seen[0] is given


class Keeper(nn.Module):
    """Writes into a tensor that it keeps somewhere."""

    def __init__(self, kept: Any) -> None:
        super().__init__()
        self.kept = kept

    def forward(self, x: Tensor) -> Tensor:
        return x + tensor_of(self.kept).add_(1)


@RUNS
@pytest.mark.parametrize("make", [make for make in HOLDERS if make not in (Batch, Layers)])
def test_tensors_kept_in_holders_are_not_written_into(make: Callable[[Tensor], Any], real: bool) -> None:
    """A tensor that is neither parameter nor buffer is the shell's own, whatever the module keeps it in."""
    kept = make(torch.zeros(2))
    assert extract(Keeper(kept), torch.zeros(2), real=real).problem is None
    assert torch.equal(tensor_of(kept), torch.zeros(2))


@pytest.mark.parametrize("make", [Batch, Layers])
def test_a_trace_on_fakes_writes_into_no_tensor_that_it_meets(make: Callable[[Tensor], Any]) -> None:
    """What a shell doesn't look into is written into by nobody: a fake takes it."""
    kept = make(torch.zeros(2))
    assert extract(Keeper(kept), torch.zeros(2)).problem is None
    assert torch.equal(tensor_of(kept), torch.zeros(2))


def test_a_tensor_in_a_closure_is_not_written_into() -> None:
    """Nor through a view, an `out`, or several at once; and a read afterwards sees the one that was."""
    hidden, others = torch.zeros(2), [torch.zeros(2), torch.zeros(2)]

    class Hiding(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            hidden.add_(1)
            hidden[0].mul_(3)
            torch.add(x, 1, out=hidden)
            torch._foreach_add_(others, 1)
            return hidden + others[0] + x

    assert extract(Hiding(), torch.zeros(2)).problem is None
    assert not torch.stack([hidden, *others]).any()


def test_a_holder_kept_twice_is_one_in_a_shell() -> None:
    """Two modules with one record go on sharing it, and it isn't the model's."""
    record = Record(torch.zeros(2))
    model = nn.Sequential(Keeper(record), Keeper(record))
    copied = shell(model).model
    assert copied[0].kept is copied[1].kept is not record


class Clamped(nn.Linear):
    """Keeps its weights small by writing into them."""

    def forward(self, x: Tensor) -> Tensor:
        self.weight.data.clamp_(-0.01, 0.01)
        return super().forward(x)


@RUNS
def test_weights_are_not_written_into(real: bool) -> None:
    """Neither by a renormalising embedding nor through `.data`."""
    model = nn.Sequential(nn.Embedding(4, 3, max_norm=0.1), Clamped(3, 3))
    before = {name: value.clone() for name, value in model.state_dict().items()}
    assert extract(model, torch.tensor([0, 1]), real=real).problem is None
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_weights_over_one_memory_share_it_on_a_run() -> None:
    """What is written through one of them is read through the other, as in the model itself."""

    class Halves(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            whole = torch.zeros(4)
            self.whole, self.part = nn.Parameter(whole), nn.Parameter(whole[:2])

        def forward(self, x: Tensor) -> Tensor:
            self.whole.data.add_(1)
            return x if bool((self.part == 1).all()) else x[:0]

    model = Halves()
    graph = extract(model, torch.zeros(2), real=True)
    assert [edge.tensor.shape for edge in graph.edges if edge.target == -2] == [(2,)]
    assert not model.whole.any()


def test_random_states_are_as_before() -> None:
    """Python's, torch's and NumPy's."""

    class Drawing(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x * float(np.random.rand() + random.random()) + torch.rand(())

    random.seed(0), np.random.seed(0), torch.manual_seed(0)
    expected = random.random(), np.random.rand(), torch.rand(()).item()
    random.seed(0), np.random.seed(0), torch.manual_seed(0)
    assert extract(Drawing(), torch.zeros(2)).problem is None
    assert (random.random(), np.random.rand(), torch.rand(()).item()) == expected


made_classes: list[type] = []


class Numbered(nn.Module):
    """A block that knows its number, and minds what is made of its class."""

    def __init_subclass__(cls) -> None:
        made_classes.append(cls)

    def __init__(self, index: int) -> None:
        super().__init__()
        self.layer_idx = index
        self.linear = nn.Linear(2, 2)

    def forward(self, x: Tensor) -> Tensor:
        assert type(self) is Numbered
        return self.linear(x)


class Asking(Numbered):
    """Does something else in the third block; may write its number, which is then no parameter."""

    def forward(self, x: Tensor) -> Tensor:
        if self.layer_idx == 3:
            self.layer_idx = 4
            assert self.layer_idx == 4
            assert "layer_idx" not in dict(self.named_parameters())
            return self.linear(x) * 2
        return self.linear(x)


class AskingItsOwnWay(Asking):
    """Finds its attributes by itself."""

    def __getattr__(self, name: str) -> Any:
        return super().__getattr__(name)


class AskingItsDictionary(Asking):
    """Looks up its number itself."""

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(x) * 2 if vars(self)["layer_idx"] == 3 else self.linear(x)


class WithADefault(Asking):
    """Has a number before it is given one."""

    layer_idx = 0


def test_watching_a_block_makes_no_class_of_it() -> None:
    """Its class is the one it has, and no hook of that class runs."""
    made_classes.clear()
    graph = extract(nn.Sequential(*map(Numbered, range(4))), torch.zeros(2))
    assert graph.problem is None
    assert modules_called(graph) == [f"{index}.linear" for index in range(4)]
    assert made_classes == []


@pytest.mark.parametrize("kind", [Asking, AskingItsOwnWay, AskingItsDictionary, WithADefault])
def test_a_block_that_asks_for_its_number_is_not_copied(kind: type[Numbered]) -> None:
    """However its class finds attributes, what the number decides is seen."""
    graph = extract(nn.Sequential(*map(kind, range(5))), torch.zeros(2))
    assert graph.problem is None
    assert [call.module for call in graph.calls if call.function] == ["3"]


def test_parameters_require_gradients_on_a_trace_as_in_the_model() -> None:
    """A forward may ask which of its weights are trained."""

    class Asks(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.trained = nn.Parameter(torch.ones(2))
            self.still = nn.Parameter(torch.ones(2), requires_grad=False)

        def forward(self, x: Tensor) -> Tensor:
            assert self.trained.requires_grad
            assert not self.still.requires_grad
            return x * self.trained

    assert extract(Asks(), torch.zeros(2)).problem is None


@RUNS
def test_what_lies_in_slots_comes_along(real: bool) -> None:
    """Attributes of a module need not be in its `__dict__`."""

    class Slots(nn.Module):
        __slots__ = ("__private", "empty", "factor")

        def __init__(self) -> None:
            super().__init__()
            self.factor, self.__private = torch.ones(2), 3

        def forward(self, x: Tensor) -> Tensor:
            assert not hasattr(self, "empty")
            return x * self.factor.add_(1) * self.__private

    model = Slots()
    assert extract(model, torch.zeros(2), real=real).problem is None
    assert torch.equal(model.factor, torch.ones(2))
