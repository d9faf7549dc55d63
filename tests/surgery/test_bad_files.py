"""Weights that are not what they should be are one sentence, however they are read; nothing is written."""

from __future__ import annotations

import json
import os
import pickle
import resource
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

import surgery
from surgery import SurgeryError
from surgery.checkpoint import headers, save
from surgery.checkpoint.tensors import Checkpoint, read_tensor
from surgery.cli import main
from surgery.stream import reading
from tests.surgery.saving.folders import content
from tests.surgery.saving.test_places import small_disk
from tests.surgery.stream.test_streamed_replay import saved

__all__ = ["small_disk"]

INDEX = "model.safetensors.index.json"
Harm = Callable[[Path], Any]


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Llama in several files, and a script on it."""
    folder = tmp_path_factory.mktemp("bad")
    saved("llama", folder / "one")
    surgery.open(folder / "one", skeleton=True).save(folder / "base", max_shard_size="30KB")
    (folder / "base" / "surgery.json").unlink()  # a folder as transformers writes it
    (folder / "base" / "edits.surgery.json").unlink()
    session = surgery.open(folder / "base")
    session.sparsify("model.layers.0.mlp.up_proj", ratio=0.3)
    session.script.write(folder / "edits.json")
    return folder


@pytest.fixture
def base(original: Path, tmp_path: Path) -> Path:
    """The Llama, to be harmed."""
    return shutil.copytree(original / "base", tmp_path / "base")


def shard(base: Path, number: int = 1) -> Path:
    """One of its files."""
    return sorted(base.glob("*.safetensors"))[number]


def said_in(file: Path) -> tuple[dict[str, Any], bytes]:
    """The header of a file as data, and what comes after it."""
    raw = file.read_bytes()
    end = 8 + int.from_bytes(raw[:8], "little")
    return json.loads(raw[8:end]), raw[end:]


def put(file: Path, header: dict[str, Any] | str, data: bytes) -> None:
    """A file with this header."""
    text = (header if isinstance(header, str) else json.dumps(header)).encode()
    file.write_bytes(len(text).to_bytes(8, "little") + text + data)


def changed(**fields: Any) -> Harm:
    """Other values for the last tensor of a file; a function is given what was there."""

    def harm(base: Path) -> None:
        header, data = said_in(shard(base))
        tensor = header[list(header)[-1]]
        for key, value in fields.items():
            tensor[key] = value(tensor[key]) if callable(value) else value
        put(shard(base), header, data)

    return harm


def index(change: Callable[[dict[str, str], Path], Any]) -> Harm:
    """Another weight map."""

    def harm(base: Path) -> None:
        said = json.loads((base / INDEX).read_text())
        change(said["weight_map"], base)
        (base / INDEX).write_text(json.dumps(said))

    return harm


def twice(base: Path) -> None:
    """A name that a header has twice."""
    header, data = said_in(shard(base))
    name = list(header)[-1]
    text = json.dumps(header)
    put(shard(base), f"{text[:-1]}, {json.dumps(name)}: {json.dumps(header[name])}}}", data)


def in_two_files(base: Path) -> None:
    """A tensor that is in another file too."""
    name, tensor = next(iter(load_file(shard(base, 0)).items()))
    save_file(load_file(shard(base, 1)) | {name: tensor}, shard(base, 1))


def with_another(base: Path) -> None:
    """A tensor that no index names."""
    save_file(load_file(shard(base)) | {"further": torch.ones(2)}, shard(base))


def with_one_less(base: Path) -> None:
    """A tensor that the index names is gone."""
    tensors = load_file(shard(base))
    tensors.pop(sorted(tensors)[0])
    save_file(tensors, shard(base))


def replaced_by(make: Callable[[Path], Any]) -> Harm:
    """Something else in the place of a file."""

    def harm(base: Path) -> None:
        file = shard(base)
        file.unlink()
        make(file)

    return harm


FOREIGN = "is truncated or no safetensors file"
HARMS: dict[str, tuple[Harm, str]] = {
    "cut in the data": (lambda base: os.truncate(shard(base), shard(base).stat().st_size - 1), FOREIGN),
    "cut in the header": (lambda base: os.truncate(shard(base), 100), FOREIGN),
    "cut in the length": (lambda base: os.truncate(shard(base), 5), FOREIGN),
    "empty": (lambda base: os.truncate(shard(base), 0), FOREIGN),
    "longer": (lambda base: shard(base).open("ab").write(b"x"), FOREIGN),
    "a pickle": (replaced_by(lambda file: file.write_bytes(pickle.dumps({"a": [1] * 1000}))), FOREIGN),
    "a torch file": (replaced_by(lambda file: torch.save({"a": torch.ones(9)}, file)), FOREIGN),
    "an endless header": (
        replaced_by(lambda file: file.write_bytes(b"\xff" * 8 + b"{}")),
        "a header of 18,446,744,073,709,551,615 bytes",
    ),
    "a header of all there is": (
        replaced_by(lambda file: (file.write_bytes((2**33).to_bytes(8, "little")), os.truncate(file, 2**34))),
        "a header of 8,589,934,592 bytes",
    ),
    "a header that is nested": (
        replaced_by(lambda file: put(file, '{"a":' * 20_000 + "1" + "}" * 20_000, b"")),
        "its header is no JSON",
    ),
    "a header that is a list": (replaced_by(lambda file: put(file, "[1]", b"")), "its header is no object"),
    "a name twice": (twice, "is there twice"),
    "a name that is no text": (replaced_by(lambda file: put(file, '{"\\ud800": {}}', b"")), "is no text"),
    "metadata that are no text": (
        replaced_by(lambda file: put(file, {"__metadata__": {"a": 1}}, b"")),
        "its metadata is not text",
    ),
    "a dtype nobody knows": (changed(dtype="F99"), "has a dtype that is not supported; got F99"),
    "a dtype that is a number": (changed(dtype=7), "is no text"),
    "another dtype": (changed(dtype="F64"), "bytes by shape and dtype"),
    "another shape": (changed(shape=lambda shape: [*shape, 2]), "bytes by shape and dtype"),
    "a negative shape": (changed(shape=[-1]), "are no counts"),
    "a shape beyond all bounds": (changed(shape=[2**40, 2**40]), "beyond all bounds"),
    "a shape of numbers with points": (changed(shape=[2.0]), "are no counts"),
    "tensors one over another": (
        changed(data_offsets=lambda place: [place[0] - 4, place[1] - 4]),
        "lies over another tensor",
    ),
    "a gap": (changed(data_offsets=lambda place: [place[0] + 4, place[1] + 4]), "leaves a gap before it"),
    "out of the file": (changed(data_offsets=lambda p: [p[0] + 10**9, p[1] + 10**9]), "leaves a gap"),
    "backwards": (changed(data_offsets=lambda place: [place[1], place[0]]), "bytes by shape and dtype"),
    "three offsets": (changed(data_offsets=[0, 1, 2]), "are no counts"),
    "a tensor in two files": (in_two_files, "a tensor lies in two files"),
    "a file that is not there": (lambda base: shard(base).unlink(), "the file is not there"),
    "a folder": (replaced_by(lambda file: file.mkdir()), "is no file"),
    "a broken link": (replaced_by(lambda file: file.symlink_to("nowhere")), "the file is not there"),
    "a pipe": (replaced_by(lambda file: os.mkfifo(file)), "is no file"),
    "an index with a file that is not there": (
        index(lambda said, _: said.update(dict.fromkeys([next(iter(said))], "model-9.safetensors"))),
        "model-9.safetensors: the file is not there",
    ),
    "an index that leads up": (
        index(lambda said, base: said.update({next(iter(said)): f"../{base.name}/{shard(base).name}"})),
        "names a file outside its folder",
    ),
    "an index with an absolute path": (
        index(lambda said, base: said.update({next(iter(said)): str(shard(base))})),
        "names a file outside its folder",
    ),
    "an index with a number": (
        index(lambda said, _: said.update({next(iter(said)): 7})),
        "is no index of safetensors shards",
    ),
    "an index that names the wrong file": (
        index(lambda said, base: said.update({list(said)[3]: said[list(said)[-1]]})),
        "names the wrong file for",
    ),
    "an index with nothing": (index(lambda said, _: said.clear()), "is no index of safetensors shards"),
    "an index with a further name": (
        index(lambda said, base: said.update(further=shard(base).name)),
        "lacks a tensor that the index names; got further",
    ),
    "an index with a name less": (
        index(lambda said, _: said.pop(list(said)[3])),
        "holds a tensor that the index does not name",
    ),
    "an index that is nested": (
        lambda base: (base / INDEX).write_text("[" * 10**5),
        "is no index of safetensors shards",
    ),
    "an index that is a list": (lambda base: (base / INDEX).write_text("[]"), "is no index of safetensors"),
    "a tensor no index names": (with_another, "holds a tensor that the index does not name; got further"),
    "a tensor of the index that is gone": (with_one_less, "lacks a tensor that the index names"),
}


@pytest.mark.parametrize("name", HARMS)
def test_a_sentence_and_nothing_is_written(
    name: str,
    original: Path,
    base: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """As a checkpoint, as a model in memory, and in the command that streams: exit status 2."""
    harm, sentence = HARMS[name]
    harm(base)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(SurgeryError, match=sentence):
        Checkpoint.at(base)
    with pytest.raises(SurgeryError, match=sentence):
        surgery.open(base)
    words = ["replay", original / "edits.json", "--model", base, "--out", tmp_path / "out", "--memory", "1GB"]
    monkeypatch.setattr(sys, "argv", ["surgery", *map(str, words)])
    with pytest.raises(SystemExit) as ended:
        main()
    said = capsys.readouterr().err.strip()
    assert ended.value.code == 2 and len(said.splitlines()) == 1 and said.startswith("surgery: ")
    with pytest.raises(SurgeryError, match=sentence):
        raise SurgeryError(said)
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything")
def test_a_file_one_may_not_read(base: Path) -> None:
    """It is named."""
    shard(base).chmod(0)
    with pytest.raises(SurgeryError, match="cannot be read: Permission denied"):
        Checkpoint.at(base)


def test_a_good_file_is_read_as_safetensors_reads_it(tmp_path: Path) -> None:
    """Every dtype, numbers and empty tensors, with metadata."""
    torch.manual_seed(0)
    tensors = {name: (torch.rand(3, 5) * 9).to(dtype) for name, dtype in headers.DTYPES.items()}
    tensors |= {"empty": torch.zeros(0, 3), "number": torch.tensor(2.5)}
    save_file(tensors, tmp_path / "all.safetensors", {"format": "pt", "other": "F32"})
    checkpoint = Checkpoint.at(tmp_path / "all.safetensors")
    assert sorted(checkpoint.entries) == sorted(tensors) and checkpoint.same == {"other": "F32"}
    expected = load_file(tmp_path / "all.safetensors")
    for name, entry in checkpoint.entries.items():
        found = read_tensor(entry.file, name)
        assert found.dtype == expected[name].dtype == entry.dtype and found.shape == entry.shape
        assert torch.equal(found.view(torch.uint8), expected[name].view(torch.uint8)) if found.dim() else True
    assert read_tensor(tmp_path / "all.safetensors", "number") == 2.5


def test_a_file_that_shrinks_while_it_is_read(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Mapped into memory, it would end the process."""
    file = shard(base)
    entry = [entry for entry in Checkpoint.at(base).entries.values() if entry.file == file.resolve()][-1]
    plain = os.preadv

    def preadv(handle: int, buffers: Any, at: int) -> int:
        os.truncate(file, entry.file.stat().st_size // 2)
        return plain(handle, buffers, at)

    monkeypatch.setattr(reading.os, "preadv", preadv)
    with pytest.raises(SurgeryError, match=f"{file.name}: is truncated"):
        read_tensor(entry.file, entry.name)


def test_a_file_that_is_changed_after_it_was_read(
    original: Path, base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Up to the moment that the folder is put in place."""
    plain = save._signed

    def signed(*words: Any) -> Any:
        made = plain(*words)
        os.utime(shard(base), ns=(1, 1))
        return made

    monkeypatch.setattr(save, "_signed", signed)
    with pytest.raises(SurgeryError, match=f"{shard(base).name}: was changed while it was read"):
        surgery.replay(original / "edits.json", base, tmp_path / "out", memory="1GB")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["base"]


def test_a_file_written_twice_within_a_tick(tmp_path: Path) -> None:
    """Headers are kept, and not longer than clocks can tell."""
    file = tmp_path / "a.safetensors"
    for name in ("a", "b", "c"):
        save_file({name: torch.ones(3)}, file)
        assert [*Checkpoint.at(file).entries] == [name]


@contextmanager
def files_of_at_most(size_bytes: int) -> Iterator[None]:
    """Within, the system writes no file that is larger."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("memory", ["1GB", None], ids=["streamed", "live"])
def test_no_room_for_a_file(memory: str | None, original: Path, base: Path, tmp_path: Path) -> None:
    """What was there stays, and nothing else is left."""
    out = tmp_path / "out"
    surgery.replay(original / "edits.json", base, out, memory=memory)
    before = content(out)
    with (
        files_of_at_most(20_000),
        pytest.raises(SurgeryError, match="could not be written, and nothing was changed: File too large"),
    ):
        surgery.replay(original / "edits.json", base, out, memory=memory, overwrite=True)
    assert content(out) == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["base", "out"]


@pytest.mark.parametrize("memory", ["1GB", None], ids=["streamed", "live"])
def test_a_disk_that_is_full(
    memory: str | None,
    original: Path,
    small_disk: Callable[..., Path],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """For real; the room is free again, and so it is with the command."""
    disk = small_disk("size=100k")
    free = shutil.disk_usage(disk).free
    words = ["surgery", "replay", str(original / "edits.json"), "--out", str(disk / "a" / "out")]
    words += ["--memory", memory] if memory else []
    monkeypatch.setattr(sys, "argv", words)
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    assert "nothing was changed: No space left on device" in capsys.readouterr().err
    assert list(disk.iterdir()) == [] and shutil.disk_usage(disk).free == free
