"""`--check` says of base, parents and result whether they are what the script recorded; it writes nothing."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

import surgery
from surgery.checking import check
from surgery.cli import main
from tests.surgery.stream.test_streamed_replay import saved

Run = Callable[..., tuple[int, list[str]]]


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A base, a parent, a script on them and its result, once as transformers has it and once with a tie."""
    folder = tmp_path_factory.mktemp("check")
    session = surgery.open(saved("llama", folder / "base"))
    session.merge("**.mlp.up_proj", parents=[str(saved("llama", folder / "parent"))], weights=(0.5, 0.5))
    session.save(folder / "out")
    session.script.write(folder / "edits.json")
    session.tie("model.layers.1", to="model.layers.0")
    session.save(folder / "tied")
    session.script.write(folder / "tied.json")
    return folder


@pytest.fixture
def made(original: Path, tmp_path: Path) -> Path:
    """The same in a folder that may be harmed."""
    folder = shutil.copytree(original, tmp_path / "made")
    for script in folder.glob("*.json"):
        script.write_text(script.read_text().replace(str(original), str(folder)))
    return folder


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """The command's exit status and lines."""

    def call(*words: str | Path) -> tuple[int, list[str]]:
        monkeypatch.setattr(sys, "argv", ["surgery", "replay", *map(str, words), "--check"])
        with pytest.raises(SystemExit) as ended:
            main()
        said = capsys.readouterr()
        assert said.err == ""
        return int(ended.value.code or 0), said.out.splitlines()

    return call


@pytest.mark.parametrize("name", ["edits", "tied"])
def test_all_is_as_it_was(name: str, made: Path, run: Run) -> None:
    """A line each, exit status 0, and nothing is written."""
    out = made / ("out" if name == "edits" else name)
    before = {path: path.stat().st_mtime_ns for path in made.rglob("*")}
    status, lines = run(made / f"{name}.json", "--out", out)
    assert status == 0 and [line.partition("  ")[0] for line in lines] == ["ok"] * 5
    starts = ["script", "base", "steps[0] merge, parent", "content of", "result in"]
    assert all(line.startswith(f"ok  {start}") for line, start in zip(lines, starts, strict=True))
    assert {path: path.stat().st_mtime_ns for path in made.rglob("*")} == before


def other_values(file: Path) -> None:
    """Another number somewhere in it."""
    tensors = load_file(file)
    name = sorted(tensors)[0]
    tensors[name] = tensors[name] + 1
    save_file(tensors, file, {"format": "pt"})


def cut(file: Path) -> None:
    """A byte less."""
    os.truncate(file, file.stat().st_size - 1)


HARMS: list[tuple[str, Callable[[Path], Any], int, str]] = [
    ("base/model.safetensors", other_values, 1, ", expected "),
    ("base/model.safetensors", cut, 1, "truncated"),
    ("base/config.json", Path.unlink, 1, "holds no model"),
    ("parent/model.safetensors", other_values, 2, ", expected "),
    ("parent/model.safetensors", Path.unlink, 2, "holds no safetensors"),
    ("out/model.safetensors", other_values, 3, ", expected "),
    ("out/model.safetensors", cut, 3, "truncated"),
    ("edits.json", lambda file: file.write_text("{"), 0, "is not JSON"),
]


@pytest.mark.parametrize("place, harm, line, said", HARMS)
def test_what_differs_is_said(
    place: str, harm: Callable[[Path], Any], line: int, said: str, made: Path, run: Run
) -> None:
    """On its line alone; exit status 2."""
    harm(made / place)
    status, lines = run(made / "edits.json", "--out", made / "out")
    assert status == 2 and [n for n, text in enumerate(lines) if text.startswith("DIFFERS")] == [line]
    assert said in lines[line]


def test_another_result_differs(made: Path, run: Run) -> None:
    """A folder that is whole, of another script."""
    status, lines = run(made / "edits.json", "--out", made / "tied")
    assert status == 2 and [line.split()[0] for line in lines] == ["ok", "ok", "ok", "ok", "DIFFERS"]


def test_another_model_differs(made: Path, run: Run) -> None:
    """Given with `--model`."""
    status, lines = run(made / "edits.json", "--model", saved("gpt2", made / "other"))
    assert status == 2 and "made on another model; got GPT2LMHeadModel" in lines[1]


def test_what_was_not_recorded_is_no_fault(made: Path) -> None:
    """A script made without weights knows no fingerprints."""
    session = surgery.open(made / "base", skeleton=True)
    session.remove("model.layers.0")
    found = [*check(session.script)]
    assert [finding.good for finding in found] == [True] and "none was recorded" in str(found[0])


def test_a_base_that_lies_in_no_files(run: Run, tmp_path: Path) -> None:
    """It is made, and compared in memory."""
    torch.manual_seed(0)
    script = surgery.open("demo-cnn").script.write(tmp_path / "edits.json")
    status, lines = run(script)
    assert status == 0 and lines[1].startswith("ok  base: ") and lines[1].endswith(", as recorded")
