"""Computing lazy tensors: once per node, on one thread, into storage of their own."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

import surgery.functions  # noqa: F401  registers what the recipes name
from surgery.lazy import Held, Lazy, Stored, recipe
from surgery.recipes import FUNCTIONS, compute, function, one_thread

CALLS: list[str] = []


@pytest.fixture(autouse=True)
def registered() -> Iterator[None]:
    """Functions of a third party: they count calls, return a part, a view or their very input, or a sum."""
    CALLS.clear()

    @function(tiling="whole")
    def counted(source: torch.Tensor) -> torch.Tensor:
        CALLS.append("counted")
        return source + 1

    @function(tiling="whole")
    def first_row(source: torch.Tensor) -> torch.Tensor:
        return source[:1]

    @function(tiling="whole")
    def turned(source: torch.Tensor) -> torch.Tensor:
        return source.T

    @function(tiling="whole")
    def as_it_is(source: torch.Tensor) -> torch.Tensor:
        return source

    @function(tiling="whole")
    def total(source: torch.Tensor) -> torch.Tensor:
        return source.sum()  # adds in another order on more threads

    yield
    for call in (counted, first_row, turned, as_it_is, total):
        del FUNCTIONS[call.__name__]


def held(value: torch.Tensor) -> Held:
    """The tensor as a plan sees it."""
    return Held.of(nn.Parameter(value))


def test_held_is_the_parameter_itself() -> None:
    """A held tensor is handed on, not copied."""
    source = held(torch.ones(2, 3))
    assert compute(source, {}).data_ptr() == source.parameter.data_ptr()


def test_shared_node_is_computed_once() -> None:
    """A node that two others and a slot use is one tensor; an equal node of its own is another."""
    shared = recipe("counted", held(torch.ones(2)))
    memo: dict[int, torch.Tensor] = {}
    one, two = recipe("copy", shared), recipe("weighted_sum", shared, shared, weights=(1.0, 1.0))
    assert compute(one, memo).tolist() == [2, 2]
    assert compute(two, memo).tolist() == [4, 4]
    assert compute(shared, memo) is compute(shared, memo)
    assert CALLS == ["counted"]
    compute(recipe("counted", held(torch.ones(2))), memo)
    assert CALLS == ["counted"] * 2


def test_inputs_are_those_bound_when_planned() -> None:
    """A slot that holds another parameter later changes nothing: inputs are nodes, not names."""
    module = nn.Linear(2, 2, bias=False)
    before = module.weight.detach().clone()
    planned = recipe("copy", Held.of(module.weight))
    module.weight = nn.Parameter(torch.zeros(2, 2))
    assert torch.equal(compute(planned, {}), before)


@pytest.mark.parametrize(
    ("name", "shape"), [("first_row", (1, 4)), ("turned", (4, 3)), ("as_it_is", (3, 4)), ("copy", (3, 4))]
)
def test_results_own_their_storage_and_are_contiguous(name: str, shape: tuple[int, ...]) -> None:
    """A function that returns a slice, a view or its very input gives a tensor apart from it all the same."""
    source = held(torch.arange(12.0).reshape(3, 4))
    made = compute(recipe(name, source, shape=shape), {})
    assert made.is_contiguous()
    assert made.untyped_storage().nbytes() == made.nbytes
    places = [tensor.untyped_storage().data_ptr() for tensor in (made, source.parameter)]
    assert places[0] != places[1]
    assert made.shape == shape and not made.requires_grad


def test_stored_tensor_is_read_from_its_file(tmp_path: Path) -> None:
    """A tensor of another checkpoint is read when a recipe needs it."""
    save_file({"a": torch.arange(4.0), "b": torch.zeros(1)}, tmp_path / "parent.safetensors")
    stored = Stored(shape=(4,), dtype=torch.float32, file=tmp_path / "parent.safetensors", name="a")
    total = recipe("weighted_sum", held(torch.ones(4)), stored, weights=(1.0, 2.0))
    assert compute(total, {}).tolist() == [1, 3, 5, 7]


def test_result_of_another_shape_or_dtype_than_declared_is_a_bug() -> None:
    """What a plan declared is what previews showed, so it is asserted."""
    source = held(torch.ones(2, 3))
    with pytest.raises(AssertionError, match="declared"):
        compute(recipe("copy", source, shape=(3, 2)), {})
    with pytest.raises(AssertionError, match="declared"):
        compute(recipe("copy", source, dtype=torch.float64), {})


def test_what_is_no_lazy_tensor_is_a_type_error() -> None:
    """The bare base class stands for nothing."""
    with pytest.raises(TypeError, match="Lazy is no lazy tensor"):
        compute(Lazy(shape=(), dtype=torch.float32), {})


def test_bits_do_not_hang_on_the_number_of_threads() -> None:
    """Whatever torch is set to, a recipe runs on one intra-op thread; the setting is put back."""
    before = torch.get_num_threads()
    made = recipe("total", held(torch.randn(300_001, generator=torch.Generator().manual_seed(0))), shape=())
    try:
        results = []
        for threads in (1, 2, 5):
            torch.set_num_threads(threads)
            results.append(compute(made, {}))
            assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)
    assert torch.equal(results[0], results[1]) and torch.equal(results[0], results[2])


def test_a_recipe_sees_one_thread() -> None:
    """Inside a computation torch has one intra-op thread, and the former number after an error too."""
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        with pytest.raises(ZeroDivisionError), one_thread():
            assert torch.get_num_threads() == 1
            raise ZeroDivisionError
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
