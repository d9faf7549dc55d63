"""Weights in several files: what transformers would write, loaded by it and by surgery."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from weakref import ref

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file
from torch import nn

import surgery
from surgery import SurgeryError
from surgery.checkpoint.shards import size_of
from surgery.fingerprint import Fingerprinter
from surgery.lazy import Lazy
from surgery.quiet import quiet
from surgery.stream import tiles
from tests.surgery.states import loaded_alone, run
from tests.zoo import ATLAS
from tests.zoo.families import DECODERS, ENCODERS

SMALL = DECODERS | ENCODERS | ATLAS


def tensors_in(folder: Path) -> dict[str, torch.Tensor]:
    """Every tensor of the folder's files by name."""
    return {name: tensor for file in folder.glob("*.safetensors") for name, tensor in load_file(file).items()}


@pytest.mark.parametrize("name", ["llama", "mixtral", "vit", "bert", "t5", "swin"])
def test_files_are_those_of_transformers(name: str, tmp_path: Path) -> None:
    """The same names, values, config and generation settings as `save_pretrained` writes, in such files."""
    model: Any
    model, inputs = SMALL[name]()
    folder = surgery.open(model, inputs).save(tmp_path / "ours", max_shard_size="12KB")
    with quiet():
        model.save_pretrained(tmp_path / "theirs", max_shard_size="12KB")
    theirs = tmp_path / "theirs"
    ours, expected = tensors_in(folder), tensors_in(theirs)
    assert ours.keys() == expected.keys()
    assert all(torch.equal(ours[key], expected[key]) for key in expected)
    for file in ("config.json", "generation_config.json"):
        assert (folder / file).is_file() == (theirs / file).is_file()
        if (theirs / file).is_file():
            assert json.loads((folder / file).read_text()) == json.loads((theirs / file).read_text())
    index, other = (
        json.loads((place / "model.safetensors.index.json").read_text()) for place in (folder, theirs)
    )
    assert index["metadata"]["total_size"] == other["metadata"]["total_size"]
    assert index["weight_map"].keys() == other["weight_map"].keys()
    for shard in set(index["weight_map"].values()):
        held = load_file(folder / shard)
        assert set(held) == {key for key, place in index["weight_map"].items() if place == shard}
        assert len(held) == 1 or sum(tensor.nbytes for tensor in held.values()) <= 12_000


@pytest.mark.parametrize("name", ["llama", "mixtral", "vit"])
def test_both_load_it(name: str, tmp_path: Path) -> None:
    """`from_pretrained`, `surgery.load` and `surgery.open` give the model that was saved."""
    session = surgery.open(*SMALL[name]())
    session.sparsify("**:Linear", 0.3)
    folder = session.save(tmp_path / "out", max_shard_size=9000)
    assert len(list(folder.glob("model-*-of-*.safetensors"))) > 3
    assert not (folder / "model.safetensors").exists()
    assert (
        Fingerprinter()(surgery.load(folder)) == session.fingerprint() == surgery.open(folder).fingerprint()
    )
    inputs = session.opened.inputs
    assert torch.equal(run(loaded_alone(session.model, folder), inputs), run(session.model, inputs))


def test_ties_hold_across_files(tmp_path: Path) -> None:
    """Each tensor is written once, wherever its other sites would have been, and is tied again on loading."""
    session = surgery.open(*SMALL["llama"]())
    session.tie("model.layers.3", to="model.layers.0")
    folder = session.save(tmp_path / "out", max_shard_size="8KB")
    index = json.loads((folder / "surgery.safetensors.index.json").read_text())["weight_map"]
    assert not any(name.startswith("model.layers.3.") for name in index)
    assert "lm_head.weight" not in index
    last = folder / index["model.layers.2.mlp.up_proj.weight"]
    assert last != folder / index["model.layers.0.mlp.up_proj.weight"]
    noted: dict[str, str] = {}
    for file in folder.glob("*.safetensors"):
        with safe_open(file, "pt") as opened:
            noted |= opened.metadata()
            here = set(opened.keys())
            assert all(kept in here for other, kept in opened.metadata().items() if other != "format")
    assert noted["model.layers.3.mlp.up_proj.weight"] == "model.layers.0.mlp.up_proj.weight"
    loaded = surgery.load(folder)
    assert Fingerprinter()(loaded) == session.fingerprint()
    assert loaded.get_parameter("model.layers.3.mlp.up_proj.weight") is loaded.get_parameter(
        "model.layers.0.mlp.up_proj.weight"
    )


def test_one_tensor_in_memory_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Mixtral's experts are cut out of one tensor, each by itself; of the one before nothing is left."""
    before: list[Any] = []
    sizes: list[int] = []
    plain = tiles.compute

    def whole(lazy: Lazy, *more: Any) -> torch.Tensor:
        assert not any(tensor() is not None for tensor in before)
        made = plain(lazy, *more)
        before[:] = [ref(made)]
        sizes.append(made.untyped_storage().nbytes())
        return made

    monkeypatch.setattr(tiles, "compute", whole)
    monkeypatch.setattr("os.cpu_count", lambda: 1)
    session = surgery.open(*SMALL["mixtral"]())
    session.save(tmp_path / "out", max_shard_size=20_000)
    assert len(sizes) > 4 and 0 < max(sizes) <= 20_000


def test_buffers_and_views_of_one_storage(tmp_path: Path) -> None:
    """Parameters that are parts of one storage are written each whole, buffers too."""
    module = nn.BatchNorm1d(3)
    both = torch.arange(6.0)
    module.weight, module.bias = nn.Parameter(both[:3]), nn.Parameter(both[3:])
    session = surgery.open(nn.Sequential(module), (torch.zeros(2, 3),))
    folder = session.save(tmp_path / "out")
    loaded = surgery.load(folder, into=nn.Sequential(nn.BatchNorm1d(3)))
    assert Fingerprinter()(loaded) == session.fingerprint()
    assert (folder / "surgery.safetensors").stat().st_size < 1000


@pytest.mark.parametrize(
    ("given", "size"),
    [(7, 7), ("7", 7), ("5GB", 5 * 10**9), ("200mb", 2 * 10**8), (" 1.5 KB", 1500), ("1GiB", 2**30)],
)
def test_sizes(given: int | str, size: int) -> None:
    """Bytes, or text with a unit."""
    assert size_of(given) == size


@pytest.mark.parametrize("given", [0, -1, "", "5 XB", "GB", "0MB", "-5GB", True, 2.5, None, "1e3"])
def test_what_is_no_size(given: Any, tmp_path: Path) -> None:
    """Refused before anything is written."""
    session = surgery.open(nn.Sequential(nn.Linear(2, 2)), (torch.zeros(1, 2),))
    with pytest.raises(SurgeryError, match=r"max_shard_size is no size.*5GB"):
        session.save(tmp_path / "out", max_shard_size=given)
    assert list(tmp_path.iterdir()) == []
