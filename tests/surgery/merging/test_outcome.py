"""After a merge, parents and child are measured beside the base."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

import surgery
from surgery import Script
from surgery.cli import main
from surgery.demo import FOLDERS
from surgery.evaluate import examples_at
from surgery.merging.outcome import outcome
from tests.surgery.merging.parents import family


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The demonstration decoder, and one with fewer weights."""
    folder = tmp_path_factory.mktemp("outcome")
    base = Path(shutil.copytree(FOLDERS["demo"], folder / "base"))
    session = surgery.open(base)
    session.sparsify("**:Linear", 0.5)
    return base, str(session.save(folder / "sparse"))


def test_each_is_what_an_evaluation_of_it_says(models: tuple[Path, str], tmp_path: Path) -> None:
    """The parent in the base's place, the child of the steps; one that does not fit says so."""
    base, sparse = models
    session = surgery.open(base)
    session.soup("", parents=[f"sparse={sparse}"], t=0.3)
    (tmp_path / "short.txt").write_text("A sentence that ends. " * 60)
    examples = examples_at(tmp_path / "short.txt", session.opened)
    expected = session.evaluate(30.0, examples)
    found = outcome(session.script, base, budget_s=30.0, examples=examples)
    assert [item.name for item in found] == ["sparse", "merged"]
    parent, child = (item.report for item in found)
    assert parent is not None and child is not None
    assert child["perplexity"].after == pytest.approx(expected["perplexity"].after)
    alone = surgery.open(base)
    alone.sparsify("**:Linear", 0.5)
    assert parent["perplexity"].after == pytest.approx(alone.evaluate(30.0, examples)["perplexity"].after)
    assert parent["perplexity"].before == child["perplexity"].before
    other, _ = family(tmp_path, 0)
    strange = json.loads(session.script.to_json())
    strange["steps"][0]["targets"] = {"select": "model.norm", "paths": []}
    strange["models"]["sparse"] = {"source": str(other), "fingerprint": None}
    strange |= {"result": {"fingerprint": None}}
    step = Script.from_json(json.dumps(strange))
    with pytest.raises(surgery.SurgeryError):  # the child itself cannot be made
        outcome(step, base)


def test_the_command_measures_after_it_has_written(
    models: tuple[Path, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A line each; the folder is there as without."""
    base, sparse = models
    script = {
        "format": "surgery-script",
        "version": 1,
        "base": {"source": str(base), "class": "LlamaForCausalLM", "fingerprint": None},
        "steps": [{"operation": "slerp", "targets": "", "parents": [sparse]}],
    }
    (tmp_path / "edits.json").write_text(json.dumps(script))
    words = [
        "replay",
        str(tmp_path / "edits.json"),
        "--out",
        str(tmp_path / "out"),
        "--evaluate",
        "--budget",
        "1",
    ]
    monkeypatch.setattr("sys.argv", ["surgery", *words])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 0
    shown = capsys.readouterr().out.splitlines()
    assert any(line.startswith("sparse: ") and "perplexity" in line for line in shown)
    assert any(line.startswith("merged: ") and "perplexity" in line for line in shown)
    assert surgery.load(tmp_path / "out")
