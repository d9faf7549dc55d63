"""Files written piece by piece are safetensors files and hold what was asked for, within the memory."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from surgery import SurgeryError
from surgery.checkpoint.tensors import Checkpoint
from surgery.fingerprint import tensor_digest
from surgery.lazy import Held, Known, Lazy, Stored, recipe
from surgery.recipes import compute
from surgery.stream import tiles, writing
from surgery.stream.reading import Reader
from surgery.stream.tiles import is_tiled
from surgery.stream.writing import write

DTYPES = [
    torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.int64, torch.int32, torch.int16,
    torch.int8, torch.uint8, torch.bool, torch.float8_e4m3fn, torch.float8_e5m2,
]  # fmt: skip


def held(tensor: torch.Tensor) -> Held:
    """A tensor that is there."""
    return Held.of(tensor)


def stored(file: Path, name: str) -> Stored:
    """A tensor of a file."""
    return Checkpoint.at(file).entries[name].lazy()


@pytest.fixture
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """A few rows at a time."""
    monkeypatch.setattr(tiles, "PIECE_BYTES", 100)


@pytest.mark.usefixtures("small_pieces")
def test_files_are_read_by_safetensors(tmp_path: Path) -> None:
    """Every dtype, odd sizes, empty tensors and numbers, as they were; each aligned to its elements."""
    torch.manual_seed(0)
    tensors = {f"of {dtype}": (torch.rand(7, 3) * 50).to(dtype) for dtype in DTYPES}
    tensors |= {"empty": torch.zeros(0, 4), "number": torch.tensor(2.5), "flags": torch.ones(3).bool()}
    digests = write(tmp_path, "model", {name: held(tensor) for name, tensor in tensors.items()}, 10**9)
    found = load_file(tmp_path / "model.safetensors")
    assert found.keys() == tensors.keys()
    for name, tensor in tensors.items():
        assert found[name].dtype == tensor.dtype and found[name].shape == tensor.shape
        assert digests[name] == tensor_digest(tensor) == tensor_digest(found[name])
    raw = (tmp_path / "model.safetensors").read_bytes()
    length = int.from_bytes(raw[:8], "little")
    said = json.loads(raw[8 : 8 + length])
    for name, tensor in tensors.items():
        assert (8 + length + said[name]["data_offsets"][0]) % tensor.dtype.itemsize == 0


def test_several_files_have_an_index_and_ties_are_noted(tmp_path: Path) -> None:
    """As transformers writes them."""
    tensors = {f"layer.{number}": held(torch.rand(10, 10)) for number in range(5)}
    write(tmp_path, "model", tensors, 1000, {"head": "layer.3"})
    index = json.loads((tmp_path / "model.safetensors.index.json").read_text())
    assert index["metadata"] == {"total_parameters": 500, "total_size": 2000}
    files = sorted(set(index["weight_map"].values()))
    assert files == [f"model-0000{number}-of-00003.safetensors" for number in (1, 2, 3)]
    with safe_open(tmp_path / index["weight_map"]["layer.3"], "pt") as opened:
        assert opened.metadata() == {"format": "pt", "head": "layer.3"}


@pytest.mark.usefixtures("small_pieces")
@pytest.mark.parametrize("tiled", [True, False])
def test_pieces_make_the_bits_of_the_whole(tmp_path: Path, tiled: bool) -> None:
    """Of what is added row by row, and of what needs all of its inputs."""
    torch.manual_seed(1)
    save_file({"a": torch.randn(33, 5), "b": torch.randn(33, 5)}, tmp_path / "in.safetensors")
    a, b = stored(tmp_path / "in.safetensors", "a"), stored(tmp_path / "in.safetensors", "b")
    made: Lazy = recipe("weighted_sum", a, b, weights=(0.3, 0.7))
    if not tiled:
        made = recipe("concatenated", made, a, shape=(66, 5), dim=0)
    assert is_tiled(made) is tiled
    write(tmp_path, "out", {"c": made}, 10**9)
    expected = compute(made, {})
    assert torch.equal(load_file(tmp_path / "out.safetensors")["c"], expected)


def test_what_needs_more_memory_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    """With the tensor and the need."""
    save_file({"a": torch.randn(100, 100)}, tmp_path / "in.safetensors")
    made = recipe("viewed", stored(tmp_path / "in.safetensors", "a"), sides=(1,), strides=(1,), offset=0)
    out = tmp_path / "out"
    out.mkdir()
    with pytest.raises(SurgeryError, match=r"large: cannot be made in so little memory; got 50.0 kB"):
        write(out, "model", {"small": held(torch.ones(2)), "large": made}, 10**9, memory_bytes=50_000)
    assert list(out.iterdir()) == []


def test_no_more_memory_is_taken_than_was_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All tensors under way taken together."""
    monkeypatch.setattr(writing.os, "cpu_count", lambda: 8)
    tensors = {f"t{number}": torch.randn(50, 50) for number in range(40)}
    save_file(tensors, tmp_path / "in.safetensors")
    entries = {name: stored(tmp_path / "in.safetensors", name) for name in tensors}
    room = writing._Room(45_000)
    monkeypatch.setattr(writing, "_Room", lambda limit: room)
    used: list[int] = []
    plain_rows = Reader.rows

    def rows(self: Reader, *args: object) -> torch.Tensor:
        used.append(room.used_bytes)
        return plain_rows(self, *args)  # type: ignore[arg-type]

    monkeypatch.setattr(Reader, "rows", rows)
    write(tmp_path, "out", entries, 10**9, memory_bytes=45_000)
    assert len(used) == 40 and 20_000 <= max(used) <= 45_000
    assert torch.equal(load_file(tmp_path / "out.safetensors")["t7"], tensors["t7"])


def test_every_tensor_is_read_once(tmp_path: Path) -> None:
    """And nothing of the file that is not asked for."""
    tensors = {f"t{number}": torch.randn(20, 10) for number in range(4)}
    save_file(tensors, tmp_path / "in.safetensors")
    with Reader() as reader:
        for name in ("t1", "t3"):
            assert torch.equal(reader.whole(stored(tmp_path / "in.safetensors", name)), tensors[name])
        assert reader.read_bytes == 2 * 800


def test_a_file_that_is_cut_short_or_written_into_is_refused(tmp_path: Path) -> None:
    """With its name."""
    file = tmp_path / "in.safetensors"
    save_file({"a": torch.randn(100, 10)}, file)
    lazy = stored(file, "a")
    with Reader() as reader:
        reader.rows(lazy, 0, 1)
        with file.open("r+b") as opened:
            opened.truncate(1000)
        with pytest.raises(SurgeryError, match=r"in\.safetensors: is truncated"):
            reader.whole(lazy)
        with pytest.raises(SurgeryError, match=r"in\.safetensors: was changed while it was read"):
            reader.refuse_changed()


def test_a_failure_in_one_tensor_ends_the_others(tmp_path: Path) -> None:
    """And it is what is raised."""
    file = tmp_path / "in.safetensors"
    save_file({"a": torch.randn(10, 10)}, file)
    lost = Stored(shape=(10, 10), dtype=torch.float32, file=tmp_path / "gone.safetensors", name="b")
    known = Known(shape=(2,), dtype=torch.float32, tensor=torch.ones(2))
    with pytest.raises(SurgeryError, match=r"gone\.safetensors: the file is not there"):
        write(tmp_path, "out", {"known": known, "b": lost, "a": stored(file, "a")}, 10**9)
