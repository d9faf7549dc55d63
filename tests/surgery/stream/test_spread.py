"""A streamed replay on workers of Ray writes the files of one without, and stops and fails as that does."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from typer.testing import CliRunner

import surgery
from surgery import SurgeryError
from surgery.checkpoint.save import save
from surgery.cli import app
from surgery.fingerprint import tensor_digest
from surgery.lazy import Known, Lazy, Reduction, Stored, recipe
from surgery.recipes import compute, function
from surgery.script import Base, Script, made_with
from surgery.stream import spread, worker, writing
from surgery.stream.layout import shards
from surgery.stream.ledger import Ledger
from surgery.stream.reading import Reader
from surgery.stream.spread import _refuse_absent
from surgery.stream.writing import write
from tests.surgery.merging.parents import family
from tests.surgery.stream.replayed import Made, copied, replayed
from tests.surgery.stream.test_resuming import stopping
from tests.surgery.stream.test_unopened import step


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Replayed without Ray: sums over all tensors, which every file needs, and a merge."""
    return replayed(
        tmp_path_factory.mktemp("original"),
        lambda session: session.sparsify("**:Linear", ratio=0.3, scope="global"),
        max_shard_size="20KB",
    )


@pytest.fixture
def made(original: Path, tmp_path: Path) -> Made:
    """A copy for one test."""
    return copied(original, tmp_path)


def replay(made: Made, **options: Any) -> surgery.Session:
    """On workers of Ray."""
    return made.replay(max_shard_size="20KB", ray=True, **options)


def test_files_are_those_without_ray(cluster: Any, made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bit for bit, by relative paths too; nothing is computed here, and progress counts whole files."""
    folder = made.base.parent
    made.script.write_text(made.script.read_text().replace(str(folder), ".."))
    (folder / "here").mkdir()
    monkeypatch.chdir(folder / "here")
    monkeypatch.setattr(writing._Writer, "_write", lambda *_: pytest.fail("computed here"))
    told: list[tuple[int, int]] = []
    made.base = Path("../base")
    replay(made, progress=lambda done, of: told.append((done, of)))
    made.check()
    sizes = [sum(map(len, _values(file))) for file in made.whole.glob("*.safetensors")]
    assert len(sizes) > 3 and told[0][0] == 0 and told[-1] == (sum(sizes), sum(sizes))
    assert {done for done, _ in told} <= {sum(some) for some in _subsets(sizes)}


def _values(file: Path) -> list[bytes]:
    return [tensor.numpy().tobytes() for tensor in load_file(file).values()]


def _subsets(sizes: list[int]) -> list[list[int]]:
    found: list[list[int]] = [[]]
    for size in sizes:
        found += [[*some, size] for some in found]
    return found


def test_it_is_gone_on_with(cluster: Any, made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    """After Ctrl-C whole files are kept, and no worker writes any more; with Ray or without."""
    monkeypatch.setattr(writing.Ledger, "note", stopping(2))
    with pytest.raises(KeyboardInterrupt, match="2 files of weights are whole"):
        replay(made)
    monkeypatch.undo()
    (work,) = made.beside
    noted = [json.loads(line)["file"] for line in (work / "whole").read_text().splitlines()[1:]]
    before = {file: (work / "model" / file).stat().st_ino for file in noted}
    assert len(noted) == 2 and not made.out.exists()
    kept = shutil.copytree(work, made.base.parent / "kept")
    replay(made, resume=True)
    made.check()
    assert {file: (made.out / file).stat().st_ino for file in noted} == before
    shutil.rmtree(made.out)
    kept.rename(work)
    made.replay(max_shard_size="20KB", resume=True)
    made.check()


def written(folder: Path, tensors: dict[str, Lazy], **options: Any) -> dict[str, str]:
    """Files of 1000 bytes in a folder of their own."""
    folder.mkdir()
    return write(folder, "model", tensors, 1000, ledger=Ledger(folder.with_suffix(".whole")), **options)


def test_an_error_of_a_worker_is_that_without_ray(cluster: Any, tmp_path: Path) -> None:
    """The sentence with its parts."""
    file = tmp_path / "in.safetensors"
    save_file({"a": torch.ones(10, 10)}, file)
    other = Stored(shape=(5, 5), dtype=torch.float32, file=file, name="a")
    found = []
    for ray in (True, False):
        with pytest.raises(SurgeryError) as refusal:
            written(tmp_path / str(ray), {"b": other}, ray=ray)
        found.append((str(refusal.value), refusal.value.problem, refusal.value.path))
    assert found[0] == found[1] and found[0][1:] == ("is not as its header said before", f"{file}: a")


@function(tiling="whole")
def known_here_alone(tensor: torch.Tensor) -> torch.Tensor:
    """What no worker has."""
    return tensor


def test_workers_that_cannot_do_it_are_refused(
    cluster: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another build, a function that is not there, a file or a folder that they see otherwise, a failure."""
    file = tmp_path / "in.safetensors"
    save_file({"a": torch.ones(10, 10)}, file)
    stored = Stored(shape=(10, 10), dtype=torch.float32, file=file, name="a")

    def refused(name: str, lazy: Lazy, said: str) -> None:
        with pytest.raises(SurgeryError, match=said):
            written(tmp_path / name, {"a": lazy}, ray=True)

    refused("function", recipe("known_here_alone", stored), "does not know this function; got known_here")
    wrong = recipe("viewed", stored, sides=(10, 20), strides=(20, 1), offset=0)
    refused("failure", wrong, "a worker of Ray failed: RuntimeError: .*out of bounds")
    with monkeypatch.context() as patched:
        patched.setattr(Reader, "stamps", property(lambda self: {file: (1, 1)}))
        refused("file", stored, r"in\.safetensors: is not the same file for a worker of Ray on")
    with monkeypatch.context() as patched:
        patched.setattr(spread, "_refuse_absent", lambda folder, shard: plain(folder / "not", shard))
        plain = _refuse_absent
        refused("folder", stored, "was written by a worker of Ray and is not here")
    monkeypatch.setattr(worker, "made_with", lambda device: made_with(device) | {"torch": "2.0.0"})
    refused("build", stored, r"would compute other bits: torch is .* there and 2\.0\.0 here")


def test_what_several_files_need_is_made_once(cluster: Any, tmp_path: Path) -> None:
    """Sums over sums come after those; the result has the bits of one process."""
    held = [Known(shape=(10, 10), dtype=torch.float32, tensor=torch.randn(10, 10)) for _ in range(4)]

    def sums(*inputs: Lazy) -> Reduction:
        return Reduction(function="absolute_sums", inputs=inputs, shape=(len(inputs),), dtype=torch.float64)

    first, alone = sums(held[0], held[1]), sums(held[2], held[3])
    scaled = recipe("rescaled", first, held[2], shape=(10, 10), dtype=torch.float32)
    second = sums(scaled, held[3])
    tensors: dict[str, Lazy] = {
        f"t{place}": recipe("rescaled", by, like, shape=(10, 10), dtype=torch.float32)
        for place, (by, like) in enumerate(
            [(first, held[0]), (second, held[1]), (second, held[2]), (alone, held[3])]
        )
    }
    made = shards("model", tensors, 500, {})
    assert len(made) == 4 and spread._levels(made) == [[first], [second]]
    digests = written(tmp_path / "spread", tensors | {"more": held[0]}, ray=True)
    assert digests == {name: tensor_digest(compute(lazy, {})) for name, lazy in tensors.items()} | {
        "more": tensor_digest(held[0].tensor)
    }


class Nodes:
    """A cluster that has so many processors and GPUs."""

    def __init__(self, *nodes: tuple[int, int]) -> None:
        self.found = [{"Alive": True, "Resources": {"CPU": cpu, "GPU": gpu}} for cpu, gpu in nodes]

    def nodes(self) -> list[dict[str, Any]]:
        """As Ray has them, with one that was lost."""
        return [*self.found, {"Alive": False, "Resources": {"CPU": 64}}]


def test_no_processor_waits_while_a_file_does() -> None:
    """Few files share all of them, many have one each; on CUDA each has a GPU."""
    crew = spread._Crew(Nodes((16, 0), (8, 2)), "cpu", lambda: None)
    assert [crew.processors(count) for count in (1, 2, 3, 24, 1000)] == [16, 8, 8, 1, 1]
    crew = spread._Crew(Nodes((16, 0), (8, 2)), "cuda", lambda: None)
    assert [crew.processors(count) for count in (1, 2, 100)] == [8, 4, 4]
    with pytest.raises(SurgeryError, match="has no machine for this; expected CPU and GPU"):
        spread._Crew(Nodes((16, 0)), "cuda", lambda: None)


def test_the_command_line(cluster: Any, tmp_path: Path) -> None:
    """A merge that opens no model; what has no meaning is refused."""
    base, parents = family(tmp_path, 1)
    script = Script(Base(str(base), "", None), (step("slerp", parents=parents),))
    script.write(tmp_path / "merge.json")
    call = ["replay", str(tmp_path / "merge.json"), "--shard-size", "20KB", "--out"]
    for name, more in (("plain", []), ("spread", ["--ray"])):
        result = CliRunner().invoke(app, [*call, str(tmp_path / name), *more])
        assert result.exit_code == 0, result.output
    one, two = tmp_path / "plain", tmp_path / "spread"
    assert len(list(one.iterdir())) > 8
    assert {file.name: file.read_bytes() for file in one.iterdir()} == {
        file.name: file.read_bytes() for file in two.iterdir()
    }
    for options in (["--ray"], ["--ray", "--check"], ["--ray", "--dry-run"], ["--device", "cuda"]):
        refusal = CliRunner().invoke(app, [*call[:2], *options]).exception
        assert isinstance(refusal, SurgeryError) and options[0] in str(refusal)


def test_what_lies_in_memory_is_not_spread(made: Made) -> None:
    """Nothing is written."""
    with pytest.raises(SurgeryError, match="only a replay piece by piece is spread over workers"):
        surgery.replay(made.script, made.base, made.out, ray=True)
    with pytest.raises(SurgeryError, match="saved as it is, with no workers"):
        save(surgery.open(made.base), made.out, ray=True)
    assert not made.out.parent.exists()


def test_without_ray_the_extra_is_named(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error says how to install it, and what a run before has left stays."""
    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(writing.Ledger, "note", stopping(2))
        made.replay(max_shard_size="20KB")
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(SurgeryError, match=r"pip install 'model-surgery\[ray\]'"):
        replay(made, resume=True)
    made.replay(max_shard_size="20KB", resume=True)
    made.check()
