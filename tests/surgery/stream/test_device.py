"""Streamed replays compute on the device that was asked for, and say so; the rest stays on the CPU."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

import surgery
from surgery import SurgeryError
from surgery.recipes import FUNCTIONS
from surgery.script import Base, Script
from surgery.stream import device, tiles
from surgery.stream.unopened import Unopened, carried_out, unopened
from tests.surgery.merging.parents import family
from tests.surgery.stream.test_resuming import stopping
from tests.surgery.stream.test_streamed_replay import Edit, saved, tensors_in
from tests.surgery.stream.test_unopened import step


class Elsewhere(Tensor):
    """A tensor on the device. With one of another kind below it makes an error, as two devices do."""


class Small(Tensor):
    """What a reduction came to, on the CPU."""


@pytest.fixture
def used(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """Stands in for CUDA: fails where a function gets what was not moved. Names of those that ran."""
    names = set[str]()

    def checked(name: str, call: Callable[..., Tensor]) -> Callable[..., Tensor]:
        def run(*inputs: Tensor, **arguments: Any) -> Tensor:
            kinds = {type(item) for item in inputs}
            assert kinds <= {Elsewhere, Small}, name
            names.add(name)
            made = call(*inputs, **arguments)
            return made.as_subclass(Small) if kinds == {Small} else made

        return run

    def reduced(lazy: Any, parts: Callable[..., Iterator[Tensor]]) -> Tensor:
        def seen(item: Any) -> Iterator[Tensor]:
            for tile in parts(item):
                assert type(tile) is Elsewhere, lazy.function
                yield tile

        names.add(lazy.function)
        return plain(lazy, seen).as_subclass(Small)

    plain = tiles.run_of
    for name, found in FUNCTIONS.items():
        monkeypatch.setitem(FUNCTIONS, name, replace(found, call=checked(name, found.call)))
    monkeypatch.setattr(tiles, "run_of", reduced)
    monkeypatch.setattr(tiles.Maker, "_moved", lambda self, tensor: tensor.as_subclass(Elsewhere))
    monkeypatch.setattr(
        tiles.Maker, "_back", lambda self, tensor: tensor.as_subclass(Tensor).cpu().contiguous()
    )
    monkeypatch.setattr("surgery.evaluate.device.resolve", torch.device)
    return names


EDITS: list[tuple[str, Edit, set[str]]] = [
    (
        "llama",
        lambda s: s.sparsify("**:Linear", ratio=0.3, scope="global"),
        {"smallest_magnitudes", "zero_smallest"},
    ),
    ("llama", lambda s: s.tie("model.layers.2", to="model.layers.1", start="average"), {"weighted_sum"}),
    ("llama", lambda s: (s.attach("**.q_proj", rank=2), s.fold("**.q_proj")), {"fold_low_rank"}),
    ("llama", lambda s: s.narrow("model.layers", "heads", ratio=0.5), {"take_units", "unit_energies"}),
    ("mixtral", lambda s: (s.cast("**", "bfloat16"), s.remove("model.layers.0")), {"cast"}),
]


@pytest.mark.parametrize("name, edit, functions", EDITS)
def test_every_function_gets_what_was_moved(
    name: str, edit: Edit, functions: set[str], tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """Pieces, whole tensors and reductions; the script says the device, and the values are the same."""
    base = saved(name, tmp_path / "base")
    session = surgery.open(base)
    edit(session)
    live = session.save(tmp_path / "live")
    session.script.write(tmp_path / "edits.json")
    used = request.getfixturevalue("used")
    out = tmp_path / "out"
    surgery.replay(tmp_path / "edits.json", base, out, memory="50MB", device="cuda")
    assert functions <= used
    assert tensors_in(out) == tensors_in(live)
    found = Script.read(out / "edits.surgery.json")
    assert found.made_with["device"] == "cuda" and found.result == session.fingerprint()


MERGES: dict[str, dict[str, Any]] = {
    "slerp": {}, "nearswap": {}, "arcee_fusion": {}, "karcher": {}, "multislerp": {}, "model_stock": {},
    "ties": {}, "dare": {"densities": [0.5]}, "della": {}, "breadcrumbs": {}, "sce": {}, "ram": {},
}  # fmt: skip


def merged(verb: str, folder: Path) -> Unopened:
    """A merge of small models, to be carried out."""
    base, parents = family(folder, 1 if verb in ("slerp", "nearswap", "arcee_fusion") else 2)
    fields = {key: value * len(parents) for key, value in MERGES[verb].items()}
    found = unopened(Script(Base(str(base), "", None), (step(verb, parents=parents, **fields),)), None)
    assert found is not None
    return found


@pytest.mark.parametrize("verb", MERGES)
def test_merges_that_open_no_model(verb: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """Weights that hang on sums stay small numbers on the CPU; the values are the same."""
    found = merged(verb, tmp_path)
    carried_out(found, tmp_path / "live", limit=10**9)
    used = request.getfixturevalue("used")
    script, _ = carried_out(found, tmp_path / "out", limit=10**9, device="cuda")
    assert used and tensors_in(tmp_path / "out") == tensors_in(tmp_path / "live")
    assert script.made_with["device"] == "cuda"


def scaled(folder: Path) -> Path:
    """A script on a base beside it."""
    base = saved("llama", folder / "base")
    session = surgery.open(base, skeleton=True)
    session.scale("**.mlp", factor=0.9)
    session.script.write(folder / "edits.json")
    return base


def test_another_device_does_not_go_on(
    tmp_path: Path, used: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Files from two of them would be of no use together."""
    base = scaled(tmp_path)
    options: dict[str, Any] = {"memory": "50MB", "max_shard_size": "8KB"}
    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr("surgery.stream.writing.Ledger.note", stopping(1))
        surgery.replay(tmp_path / "edits.json", base, tmp_path / "out", device="cuda", **options)
    with pytest.raises(SurgeryError, match="device is cpu and was cuda"):
        surgery.replay(tmp_path / "edits.json", base, tmp_path / "out", resume=True, **options)
    surgery.replay(tmp_path / "edits.json", base, tmp_path / "out", resume=True, device="cuda", **options)


@pytest.mark.skipif(torch.cuda.is_available(), reason="CUDA is here")
def test_a_device_that_is_not_here_is_refused(tmp_path: Path) -> None:
    """With what there is; so is one without float64, and one for what lies in memory."""
    base = scaled(tmp_path)
    out = tmp_path / "out"
    with pytest.raises(SurgeryError, match="has no such device; got cuda, expected cpu"):
        surgery.replay(tmp_path / "edits.json", base, out, memory="50MB", device="cuda")
    with pytest.raises(SurgeryError, match="unknown device"):
        surgery.replay(tmp_path / "edits.json", base, out, memory="50MB", device="gpu")
    with pytest.raises(SurgeryError, match="only a replay piece by piece is computed on another device"):
        surgery.replay(tmp_path / "edits.json", base, out, device="cuda")
    assert not out.exists()
    with pytest.MonkeyPatch.context() as patched, pytest.raises(SurgeryError, match="does not have; got mps"):
        patched.setattr("surgery.evaluate.device.resolve", torch.device)
        device.arithmetic_device("mps")


def test_too_little_memory_there_is_said(
    tmp_path: Path, used: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """And nothing is left."""

    def moved(*_: Any) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(tiles.Maker, "_moved", moved)
    base = scaled(tmp_path)
    with pytest.raises(SurgeryError, match="too little memory is free on the device; got cuda"):
        surgery.replay(tmp_path / "edits.json", base, tmp_path / "out", memory="50MB", device="cuda")
    assert not (tmp_path / "out").exists()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="takes CUDA")
@pytest.mark.parametrize("verb", MERGES)
def test_cuda_gives_nearly_the_same(verb: str, tmp_path: Path) -> None:
    """Within float32, and the same bits a second time."""
    found, made = merged(verb, tmp_path), {}
    for name, where in {"cpu": "cpu", "one": "cuda", "two": "cuda"}.items():
        carried_out(found, tmp_path / name, limit=10**9, device=where)
        made[name] = load_file(tmp_path / name / "model.safetensors")
    assert tensors_in(tmp_path / "one") == tensors_in(tmp_path / "two")
    torch.testing.assert_close(made["one"], made["cpu"])
