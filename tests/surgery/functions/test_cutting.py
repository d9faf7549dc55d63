"""What a function declares of itself holds: how it may be cut, and what it holds at its most."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import surgery.functions  # noqa: F401  registers them
from surgery.evaluate.speed.memory import peak_bytes
from surgery.lazy import Known, Lazy, Recipe, Reduction
from surgery.recipes import FUNCTIONS, compute, one_thread
from surgery.reductions import REDUCTIONS, TILE, reduced, retiled, tiles_of
from surgery.stream import tiles
from surgery.stream.reading import Reader
from surgery.stream.tiles import Maker, is_tiled, room

Arguments = dict[str, Any]

OURS = {name for name, item in FUNCTIONS.items() if item.call.__module__.startswith("surgery.functions")}


def drawn(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float32) -> Tensor:
    """Random values."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed)).to(dtype)


THRESHOLDS = torch.tensor([0.3, 2.0], dtype=torch.float64)
ELECTION: Arguments = {"weights": (0.5, 1.5), "scale": 0.9, "normalize": True}

# By function: how many tensors of one shape it takes, after what it is given whole, and its arguments.
CUT: list[tuple[str, list[Tensor], int, Arguments]] = [
    ("copy", [], 1, {}),
    ("cast", [], 1, {"to": "bfloat16"}),
    ("weighted_sum", [], 3, {"weights": (0.3, 0.5, 0.2)}),
    ("difference", [], 2, {}),
    ("trimmed", [THRESHOLDS], 1, {}),
    ("rescaled", [THRESHOLDS], 1, {}),
    ("added", [], 3, ELECTION | {"elect": "none"}),
    ("added", [], 3, ELECTION | {"elect": "sum"}),
    ("added", [], 3, ELECTION | {"elect": "count"}),
    ("dropped", [], 1, {"density": 0.4, "rescale": True, "seed": 3, "path": "a"}),
    ("dropped_by_rank", [], 1,
     {"density": 0.4, "epsilon": 0.1, "rescale": True, "seed": 3, "path": "a"}),
    ("combined", [THRESHOLDS], 2, {}),
    ("slerped_rows", [], 2, {"t": 0.3}),
    ("stocked_rows", [], 3, {}),
    ("swapped_near", [], 2, {"t": 0.1}),
    ("importance", [], 2, {}),
    ("fused", [torch.tensor([0.1, 0.2, 0.3])], 3, {}),
    ("where_varied", [THRESHOLDS], 3, {"index": 1}),
    ("shared_out", [torch.tensor([[2.0, 1.0], [1.0, 3.0]], dtype=torch.float64)], 3, {}),
    ("reinforced", [torch.tensor([[5.0, 3.0], [2.0, 9.0]], dtype=torch.float64)], 3,
     {"epsilon": 0.5, "rate": 0.1, "limit": 0.2}),
    ("matched_rows", [], 1, {}),
    ("fisher_mean", [], 4, {"weights": (0.3, 0.7)}),
    ("centred_rows", [], 1, {}),
    ("grown", [], 1, {"factor": 1.25, "offset": 1.0}),
    ("columns_scaled", [torch.tensor([0.7])], 1, {"offset": 1.0}),
]  # fmt: skip


@pytest.fixture
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A few rows at a time, on one thread as everywhere."""
    monkeypatch.setattr(tiles, "PIECE_BYTES", 200)
    with one_thread():
        yield


def gathering(name: str, whole: list[Tensor], many: list[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
    """With what a function gathers from before all others, and last the rows that it takes, where it does."""
    if not FUNCTIONS[name].gathers:
        return whole, many
    rows, *sides = many[0].shape
    places = torch.randint(-1, rows + 3, (rows,), generator=torch.Generator().manual_seed(7))
    source = drawn(rows + 3, *sides, seed=9, dtype=torch.float32)
    return [source, *whole], [*many, places]


def recipe_of(name: str, whole: list[Tensor], many: list[Tensor], arguments: Arguments) -> Recipe:
    """A recipe over tensors that are at hand."""
    found = [Known(shape=tuple(item.shape), dtype=item.dtype, tensor=item) for item in (*whole, *many)]
    made = FUNCTIONS[name].call(*whole, *many, **arguments)
    return Recipe(
        function=name, inputs=tuple(found), shape=tuple(made.shape), dtype=made.dtype, arguments=arguments
    )


def test_every_function_that_may_be_cut_is_tried() -> None:
    """The table leaves none out."""
    assert {name for name, *_ in CUT} == {name for name in OURS if FUNCTIONS[name].tiling != "whole"}


@pytest.mark.usefixtures("small_pieces")
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("shape", [(1000,), (37, 129), (5, 7, 3, 3), (3, 70000)])
@pytest.mark.parametrize("name, whole, count, arguments", CUT, ids=lambda item: str(item)[:20])
def test_pieces_have_the_bits_of_the_whole(
    name: str,
    whole: list[Tensor],
    count: int,
    arguments: Arguments,
    shape: tuple[int, ...],
    dtype: torch.dtype,
) -> None:
    """Cut where it says it may be; vectors and small tensors too."""
    many = [drawn(*shape, seed=seed, dtype=dtype) for seed in range(count)]
    whole, many = gathering(name, whole, many)
    lazy = recipe_of(name, whole, many, arguments)
    assert is_tiled(lazy) or (FUNCTIONS[name].tiling == "slices" and len(shape) < 2)
    with Reader() as reader:
        pieces = list(Maker(reader).pieces(lazy))
    assert len(pieces) > 1 or not is_tiled(lazy)
    assert torch.equal(torch.cat(pieces), compute(lazy, {}))


@pytest.mark.parametrize("name, whole, count, arguments", CUT, ids=lambda item: str(item)[:20])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
def test_it_holds_no_more_than_it_declares(
    name: str, whole: list[Tensor], count: int, arguments: Arguments, dtype: torch.dtype
) -> None:
    """Besides inputs and result, in bytes per element of the largest of them."""
    many = [drawn(300, 500, seed=seed, dtype=dtype) for seed in range(count)]
    whole, many = gathering(name, whole, many)
    lazy = recipe_of(name, whole, many, arguments)
    result = lazy.count * lazy.dtype.itemsize
    model, call = nn.Module(), FUNCTIONS[name].call
    peak = peak_bytes(lambda: call(*whole, *many, **arguments), model, torch.device("cpu")) - result
    assert peak <= FUNCTIONS[name].workspace * 150_000 + 300_000, f"{peak / 150_000:.1f} bytes per element"


REDUCED: list[tuple[str, int, Arguments]] = [
    ("smallest_magnitudes", 2, {"k": 1000, "bits": 32}),
    ("absolute_sums", 2, {}),
    ("magnitudes_at", 1, {"ranks": (1, 5000, 90_000), "bits": 32}),
    ("gram", 3, {}),
    ("variance_at", 3, {"density": 0.3, "bits": 32}),
    ("overlaps", 3, {"epsilon": 0.5}),
    ("agreement", 3, {}),
    ("unit_products", 3, {"rows": 300, "width": 500, "dim": 0}),
    ("unit_products", 3, {"rows": 300, "width": 500, "dim": 1}),
]


def test_every_reduction_is_tried() -> None:
    """The table leaves none out."""
    ours = {name for name, item in REDUCTIONS.items() if item.make.__module__.startswith("surgery.functions")}
    assert {name for name, *_ in REDUCED} == ours


@pytest.mark.usefixtures("small_pieces")
@pytest.mark.parametrize("name, count, arguments", REDUCED, ids=lambda item: str(item)[:20])
def test_a_reduction_has_the_same_bits_however_it_is_read(
    name: str, count: int, arguments: Arguments, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From memory, and piece by piece."""
    monkeypatch.setattr("surgery.reductions.TILE", 10_000)
    inputs = tuple(
        Known(shape=(300, 500), dtype=torch.float32, tensor=drawn(300, 500, seed=seed))
        for seed in range(count)
    )
    lazy = Reduction(function=name, inputs=inputs, shape=(1,), dtype=torch.float64, arguments=arguments)
    live = reduced(lazy, lambda item: tiles_of(compute(item, {})))
    with Reader() as reader:
        maker = Maker(reader)
        assert torch.equal(maker.reduced(lazy), live) and maker.reduced(lazy) is maker.reduced(lazy)


@pytest.mark.parametrize("name, count, arguments", REDUCED, ids=lambda item: str(item)[:20])
def test_a_reduction_holds_no_more_than_it_declares(name: str, count: int, arguments: Arguments) -> None:
    """Besides the tiles, in bytes per element of one; of each, where it sees several at a time."""
    inputs = [drawn(TILE, seed=seed) for seed in range(count)]
    lazies: dict[Lazy, Tensor] = {
        Known(shape=(TILE,), dtype=torch.float32, tensor=item): item for item in inputs
    }
    if isinstance(width := arguments.get("width"), int):
        arguments = arguments | {"rows": -(-TILE // width)}
    lazy = Reduction(
        function=name, inputs=tuple(lazies), shape=(1,), dtype=torch.float64, arguments=arguments
    )
    reducer = REDUCTIONS[name]

    def run() -> None:
        reduced(lazy, lambda item: tiles_of(lazies[item]))

    each = reducer.workspace * (count if reducer.joint else 1)
    peak = peak_bytes(run, nn.Module(), torch.device("cpu"))
    assert peak <= each * TILE + 4_000_000, f"{peak / TILE:.1f} bytes per element"


def test_tiles_are_counted_from_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """However long the pieces are."""
    monkeypatch.setattr("surgery.reductions.TILE", 7)
    whole = torch.arange(40)
    for cuts in ([40], [1] * 40, [3, 30, 7], [7] * 5 + [5], [0, 39, 1]):
        assert [tile.tolist() for tile in retiled(iter(whole.split(cuts)))] == [
            tile.tolist() for tile in tiles_of(whole)
        ]


def test_room_counts_what_is_made_on_the_way() -> None:
    """Of a piece of a merge: its inputs, what is computed of them, and what the functions hold."""
    shape = (4000, 4000)
    inputs = [Known(shape=shape, dtype=torch.bfloat16, tensor=drawn(1)) for _ in range(2)]
    vector = Recipe(function="difference", inputs=tuple(inputs), shape=shape, dtype=torch.float32)
    arguments: Arguments = ELECTION | {"weights": (1.0,), "elect": "sum"}
    made = Recipe(
        function="added",
        inputs=(inputs[0], vector),
        shape=shape,
        dtype=torch.bfloat16,
        arguments=arguments,
    )
    piece = tiles.PIECE_BYTES // 2
    assert room(made) == pytest.approx(piece * (2 + 4 + 2 + 2 + 2 + FUNCTIONS["added"].workspace), rel=0.01)
