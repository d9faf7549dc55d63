"""`surgery replay` of merges: with no model opened, further models by name, dry runs, what is refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

import surgery
from surgery.cli import main
from tests.surgery.merging.parents import family


@pytest.fixture
def made(tmp_path: Path) -> tuple[Path, Path, str]:
    """A script that records no fingerprint, its base, and a further model that it calls `other`."""
    base, (other,) = family(tmp_path, 1)
    data = {
        "format": "surgery-script",
        "version": 1,
        "base": {"source": str(base), "class": "", "fingerprint": None},
        "models": {"other": {"source": other, "fingerprint": None}},
        "steps": [{"operation": "slerp", "targets": "", "parents": [{"model": "other"}]}],
    }
    script = tmp_path / "merge.surgery.json"
    script.write_text(json.dumps(data))
    return script, base, other


def said(
    words: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> tuple[int, str]:
    """Exit status and all that a command says."""
    monkeypatch.setattr("sys.argv", ["surgery", "replay", *words])
    with pytest.raises(SystemExit) as ended:
        main()
    shown = capsys.readouterr()
    return int(str(ended.value.code or 0)), shown.out + shown.err


def test_further_models_are_found_where_they_are_said_to_be(
    made: tuple[Path, Path, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Base and others by one option; the tensors are those of a session."""
    script, base, other = made
    moved = shutil.move(other, tmp_path / "moved")
    there = shutil.move(base, tmp_path / "there")
    words = [str(script), "--model", str(there), "--model", f"other={moved}", "--out", str(tmp_path / "out")]
    status, shown = said(words, monkeypatch, capsys)
    assert status == 0 and "tensors blake3:" in shown
    session = surgery.open(there)
    session.slerp("", parents=[str(moved)])
    assert surgery.open(tmp_path / "out").fingerprint() == session.fingerprint()
    status, shown = said(words, monkeypatch, capsys)
    assert status == 2 and "exists and is not empty" in shown
    assert said([*words, "--overwrite"], monkeypatch, capsys)[0] == 0
    status, shown = said([str(script), "--out", str(tmp_path / "out"), "--check", "--model", str(there),
                          "--model", f"other={moved}"], monkeypatch, capsys)  # fmt: skip
    assert status == 0 and "DIFFERS" not in shown


def test_a_dry_run_says_what_would_be_written(
    made: tuple[Path, Path, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Every tensor and where it comes from; nothing is there afterwards."""
    status, shown = said([str(made[0]), "--dry-run", "--out", str(tmp_path / "out")], monkeypatch, capsys)
    assert status == 0 and "base/model.safetensors: model.norm.weight" in shown
    assert "parent1/model.safetensors: model.norm.weight" in shown and not (tmp_path / "out").exists()
    status, shown = said([str(made[0]), "--dry-run", "--memory", "1KB"], monkeypatch, capsys)
    assert status == 2 and "cannot be made in so little memory" in shown


def test_what_cannot_be_meant_is_refused(
    made: tuple[Path, Path, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Two bases, a name that the script has not, a size that is none; nothing is written."""
    script, base, _ = made
    for more, sentence in (
        (["--model", str(base), "--model", str(base)], "is a second base"),
        (["--model", "another=x"], "the script has no model of this name"),
        (["--memory", "much"], "much"),
        (["--shard-size", "0"], "0"),
    ):
        status, shown = said([str(script), *more, "--out", str(tmp_path / "out")], monkeypatch, capsys)
        assert status == 2 and sentence in shown and "Traceback" not in shown
        assert not (tmp_path / "out").exists()


NOTHING_MEASURED = {
    "--evaluate --dry-run": "--dry-run writes nothing, so --evaluate has no meaning",
    "--evaluate --check": "--check writes nothing, so --evaluate has no meaning",
    "--task fidelity": "--task says how the result is measured, and --evaluate is not given",
    "--data held_out.txt --dry-run": "--data says how the result is measured",
}


@pytest.mark.parametrize(("words", "expected"), NOTHING_MEASURED.items(), ids=NOTHING_MEASURED)
def test_what_would_be_ignored_is_refused(
    words: str,
    expected: str,
    made: tuple[Path, Path, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Options that say how to measure, where nothing is measured."""
    status, shown = said([str(made[0]), *words.split(), "--out", str(tmp_path / "out")], monkeypatch, capsys)
    assert status == 2 and expected in shown and not (tmp_path / "out").exists()


def test_a_base_is_not_written_over(
    made: tuple[Path, Path, str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Not even with --overwrite where the base was saved by a replay, with a model opened or without."""
    script, base, _ = made
    words = [str(script), "--out", str(base)]
    surgery.open(base).save(base.with_name("saved"))
    shutil.rmtree(base)
    shutil.move(base.with_name("saved"), base)
    before = {file.name: file.read_bytes() for file in base.iterdir()}
    for more in ([], ["--reselect"], ["--dry-run"], ["--dry-run", "--reselect"]):
        status, shown = said([*words, "--overwrite", "--memory", "1GB", *more], monkeypatch, capsys)
        assert status == 2 and "is the folder that the weights are read from" in shown
    assert {file.name: file.read_bytes() for file in base.iterdir()} == before
