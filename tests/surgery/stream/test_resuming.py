"""A streamed replay that was stopped is gone on with from the files that are whole, or is refused."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import surgery
from surgery import SurgeryError
from surgery.checkpoint import resuming
from surgery.checkpoint.manifest import read_manifest
from surgery.lazy import Known, recipe
from surgery.stream import identity, ledger, writing
from tests.surgery.stream.replayed import Made, Options, copied, replayed
from tests.surgery.stream.test_streamed_replay import tensors_in


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of a merge and a removal."""
    return replayed(tmp_path_factory.mktemp("original"), lambda session: session.remove("model.layers.1"))


@pytest.fixture
def made(original: Path, tmp_path: Path) -> Made:
    """A copy for one test."""
    return copied(original, tmp_path)


def stopping(files: int) -> Callable[[Any], Any]:
    """A step after which so many files are whole and Ctrl-C is pressed."""
    plain = writing.Ledger.note

    def note(self: Any, name: str, digests: Any) -> None:
        if len(self.whole) >= files:
            raise KeyboardInterrupt
        plain(self, name, digests)

    return note


@pytest.fixture
def stopped(made: Made, monkeypatch: pytest.MonkeyPatch) -> Made:
    """Stopped by Ctrl-C when three files were whole."""
    monkeypatch.setattr("os.cpu_count", lambda: 1)
    monkeypatch.setattr(writing.Ledger, "note", stopping(3))
    with pytest.raises(KeyboardInterrupt, match=r"out: stopped.* 3 files of weights are whole.*--resume"):
        made.replay()
    monkeypatch.undo()
    assert not made.out.exists() and len(made.beside) == 1
    return made


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the tensors that are written from here on."""
    names: list[str] = []
    plain = writing._Writer._write

    def noting(self: Any, shard: Any, span: Any) -> None:
        names.append(span.name)
        plain(self, shard, span)

    monkeypatch.setattr(writing._Writer, "_write", noting)
    return names


def test_files_that_are_whole_are_not_made_again(stopped: Made, written: list[str]) -> None:
    """The others are, and the result is that of a replay that nobody stopped."""
    index = json.loads((stopped.whole / "model.safetensors.index.json").read_text())["weight_map"]
    first = sorted(set(index.values()))[:3]
    stopped.replay(resume=True)
    assert set(written) == {name for name, file in index.items() if file not in first}
    stopped.check()


@pytest.mark.parametrize("moment", ["_verified", "_put"])
def test_ctrl_c_before_it_writes_loses_nothing(
    moment: str, stopped: Made, written: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """While files are read again, or the notes are begun."""

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(ledger, moment, interrupted)
        stopped.replay(resume=True)
    index = json.loads((stopped.whole / "model.safetensors.index.json").read_text())["weight_map"]
    first = sorted(set(index.values()))[:3]
    stopped.replay(resume=True)
    assert set(written) == {name for name, file in index.items() if file not in first}
    stopped.check()


def test_without_being_asked_it_starts_anew(stopped: Made, written: list[str]) -> None:
    """And what was left is taken away."""
    stopped.replay()
    assert set(written) == set(tensors_in(stopped.whole))
    stopped.check()


def test_there_need_be_nothing_to_go_on_with(made: Made) -> None:
    """The first run may say `resume` too."""
    made.replay(resume=True)
    made.check()


@pytest.mark.parametrize("harm", ["a bit", "cut", "longer", "gone", "a folder"])
def test_a_file_that_is_not_what_was_noted_is_made_again(
    harm: str, stopped: Made, written: list[str]
) -> None:
    """Each is read before it counts."""
    file = sorted(stopped.beside[0].glob("model/*.safetensors"))[1]
    data = bytearray(file.read_bytes())
    file.unlink()
    if harm == "a bit":
        data[-5] ^= 1
    elif harm == "cut":
        del data[-1]
    elif harm == "longer":
        data.append(0)
    if harm == "a folder":
        file.mkdir()
    elif harm != "gone":
        file.write_bytes(data)
    stopped.replay(resume=True)
    index = json.loads((stopped.whole / "model.safetensors.index.json").read_text())["weight_map"]
    assert {name for name, other in index.items() if other == file.name} <= set(written)
    stopped.check()


@pytest.mark.parametrize("harm", ["last line", "no lines", "no text", "nothing"])
def test_notes_that_were_cut_off(harm: str, stopped: Made) -> None:
    """A line that is not whole does not count, and without the first all starts anew."""
    notes = stopped.beside[0] / "whole"
    text = notes.read_text()
    notes.write_text({"last line": text[:-9], "no lines": text[:40], "no text": "[]\n", "nothing": ""}[harm])
    stopped.replay(resume=True)
    stopped.check()


def touch(made: Made) -> Options:
    """A parent that was written again, with the same content."""
    file = made.base.parent / "parent" / "model.safetensors"
    os.utime(file, ns=(1, 1))
    return {}


def other_steps(made: Made) -> Options:
    """A script with other weights of a mean."""
    text = made.script.read_text()
    data = json.loads(text)
    data["steps"][0]["weights"], data["result"] = [0.25, 0.75], None
    made.script.write_text(json.dumps(data))
    return {}


def other_torch(made: Made) -> Options:
    """Notes of another build."""
    notes = made.beside[0] / "whole"
    head, *lines = notes.read_text().splitlines()
    said = json.loads(head)
    said["identity"]["made_with"]["torch"] = "2.0.0"
    notes.write_text("\n".join([json.dumps(said), *lines]) + "\n")
    return {}


OTHERS: list[tuple[Callable[[Made], Options], str]] = [
    (touch, r"parent/model\.safetensors was changed since"),
    (other_steps, "come to other tensors"),
    (other_torch, r"torch is .* and was 2\.0\.0"),
    (lambda made: {"max_shard_size": "20KB"}, "as another shard size has them"),
]


@pytest.mark.parametrize(("change", "said"), OTHERS, ids=["file", "steps", "torch", "size"])
def test_another_plan_is_not_gone_on_with(
    change: Callable[[Made], Options], said: str, stopped: Made
) -> None:
    """What differs is said, what was left stays as it is, and without `resume` all starts anew."""
    options = change(stopped)
    before = {path: path.read_bytes() for path in stopped.beside[0].rglob("*") if path.is_file()}
    with pytest.raises(SurgeryError, match=said) as refusal:
        stopped.replay(resume=True, **options)
    assert "--resume" in str(refusal.value) and not stopped.out.exists()
    assert {path: path.read_bytes() for path in stopped.beside[0].rglob("*") if path.is_file()} == before
    stopped.replay(**options)
    assert stopped.beside == [] and surgery.load(stopped.out)


def test_a_run_that_goes_on_is_not_disturbed(stopped: Made) -> None:
    """Neither by one that would go on nor by one that would start anew."""
    handle = os.open(stopped.beside[0] / "lock", os.O_RDWR)
    fcntl.flock(handle, fcntl.LOCK_EX)
    before = sorted(stopped.beside[0].rglob("*"))
    for resume in (True, False):
        with pytest.raises(SurgeryError, match="out: another run is writing to this place"):
            stopped.replay(resume=resume)
    assert sorted(stopped.beside[0].rglob("*")) == before
    os.close(handle)
    stopped.replay(resume=True)
    stopped.check()


@pytest.mark.parametrize("which", ["base", "result"])
def test_a_refusal_leaves_nothing(which: str, made: Made) -> None:
    """Folders above that were made for it are gone too."""
    data = json.loads(made.script.read_text())
    data[which]["fingerprint"] = "sha256:0"
    made.script.write_text(json.dumps(data))
    with pytest.raises(SurgeryError, match=r"the content differs|is not the one recorded"):
        made.replay()
    assert not made.out.parent.exists()


def test_ctrl_c_before_any_file_is_whole_leaves_nothing(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    """There is nothing to go on with."""
    monkeypatch.setattr(writing.Ledger, "note", stopping(0))
    with pytest.raises(KeyboardInterrupt):
        made.replay()
    assert not made.out.parent.exists()


def test_killed_between_two_renames(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where two names cannot be swapped: what was there before is put back before anything else."""
    made.replay()
    before = tensors_in(made.out)
    work = resuming._beside(made.out.resolve())
    work.mkdir()
    made.out.rename(work / "old")
    made.script.write_text(
        made.script.read_text().replace(read_manifest(made.whole)["fingerprint"], "sha256:0")
    )
    with pytest.raises(SurgeryError, match="the result is not the one recorded"):
        made.replay(overwrite=True)
    assert tensors_in(made.out) == before and made.beside == []


def test_killed_when_it_was_in_place(made: Made) -> None:
    """What is left of the run is taken away by the next that asks, which is refused all the same."""
    made.replay()
    work = resuming._beside(made.out.resolve())
    work.mkdir()
    (work / "whole").write_text("{}")
    with pytest.raises(SurgeryError, match="exists and is not empty"):
        made.replay(resume=True)
    made.check()


@pytest.mark.parametrize("resume", [True, False])
def test_where_files_cannot_be_locked(resume: bool, made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run works where no other looks; none can be gone on with."""

    def flock(*_: object) -> None:
        raise OSError(38, "Function not implemented")

    monkeypatch.setattr(fcntl, "flock", flock)
    if resume:
        with pytest.raises(SurgeryError, match="files cannot be locked here"):
            made.replay(resume=True)
    else:
        made.replay()
        made.check()


def test_only_what_is_streamed_is_gone_on_with(made: Made) -> None:
    """A save of what is in memory starts anew each time."""
    with pytest.raises(SurgeryError, match="only a replay piece by piece is gone on with"):
        surgery.replay(made.script, made.base, made.out, resume=True)
    assert not made.out.exists()


def test_every_recipe_has_an_identity_of_its_own() -> None:
    """By function, argument, name and values at hand; the same one however often it is asked for."""
    one = Known(shape=(2,), dtype=torch.float32, tensor=torch.zeros(2))
    two = Known(shape=(2,), dtype=torch.float32, tensor=torch.tensor([0.0, -0.0]))
    made_of = [
        one,
        two,
        recipe("a", one),
        recipe("b", one),
        recipe("a", two),
        recipe("a", one, weights=(0.5, 0.5)),
        recipe("a", one, weights=(0.5, 0.25)),
        recipe("a", one, shape=(1, 2)),
        recipe("a", one, dtype=torch.float64),
        recipe("a", one, two),
        recipe("a", recipe("a", one)),
    ]
    found = [identity._described(lazy, {}) for lazy in made_of]
    assert len(set(found)) == len(made_of)
    assert found == [identity._described(lazy, {}) for lazy in made_of]


def test_shards_become_whole_one_after_another(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    """No more of them are under way than there are threads, however large the first tensor is."""
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    under_way: list[int] = []
    plain = writing._Writer._file

    def file(self: Any, shard: Any) -> Any:
        found = plain(self, shard)
        under_way.append(len(self.begun))
        return found

    monkeypatch.setattr(writing._Writer, "_file", file)
    made.replay(memory="60KB")
    assert len(under_way) > 10 and max(under_way) <= 2


def test_progress_is_told_up_to_the_end(stopped: Made) -> None:
    """In bytes of weights; those that were there already count from the start."""
    told: list[tuple[int, int]] = []
    stopped.replay(resume=True, progress=lambda done, of: told.append((done, of)))
    total = sum(len(file.read_bytes()) for file in stopped.whole.glob("*.safetensors"))
    assert told[0][0] > 0 and told[-1][0] == told[-1][1] < total
    assert [done for done, _ in told] == sorted(done for done, _ in told)
    shutil.rmtree(stopped.out)
