"""`surgery picture` and `surgery report`: what the API writes, from the command line."""

from __future__ import annotations

from pathlib import Path

import pytest

import surgery
from tests.surgery.test_cli import Command, command, script

__all__ = ["command", "script"]


def test_a_model_is_drawn(command: Command, tmp_path: Path) -> None:
    """As `s.picture()` does it, and the path is printed."""
    place = tmp_path / "graph.svg"
    done = command("picture", "demo", "--out", place, "--open", "model.layers[2]", "--dark")
    assert (done.returncode, done.stdout) == (0, f"{place}\n")
    assert place.read_text(encoding="utf-8") == surgery.open("demo").picture("model.layers.2", dark=True)


def test_a_script_is_drawn_with_its_changes(command: Command, script: Path, tmp_path: Path) -> None:
    """Block 4 is tied to what was block 6, and the picture has the thread."""
    place = tmp_path / "graph.svg"
    assert command("picture", "demo", "--script", script, "--out", place).returncode == 0
    assert "Tie 2: model.layers.4 and model.layers.5" in place.read_text(encoding="utf-8")


def test_a_skeleton_is_drawn_without_weights_but_not_edited(
    command: Command, script: Path, tmp_path: Path
) -> None:
    """Which needs them."""
    place = tmp_path / "graph.svg"
    assert command("picture", "demo", "--skeleton", "--out", place).returncode == 0
    done = command("picture", "demo", "--skeleton", "--script", script, "--out", place)
    assert done.returncode == 2 and done.stderr.startswith("surgery: --script computes weights")


def test_a_report_of_a_script_is_written(command: Command, script: Path, tmp_path: Path) -> None:
    """Measured if that is asked for."""
    place = tmp_path / "report.html"
    done = command("report", script, "--model", "demo", "--out", place)
    assert (done.returncode, done.stdout) == (0, f"{place}\n")
    plain = place.read_text(encoding="utf-8")
    assert "remove layers[3]" in plain and "was not measured" in plain
    done = command("report", script, "--out", place, "--evaluate", "--task", "perplexity", "--budget", "0.1")
    assert done.returncode == 0
    measured = place.read_text(encoding="utf-8")
    assert "Size against perplexity" in measured and "was not measured" not in measured


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--task", "perplexity"), "--task says how the result is measured, and --evaluate is not given"),
        (("--out", "no/such/report.html"), "no/such: there is no such folder"),
    ],
)
def test_what_stands_in_the_way_is_said_before_the_work(
    command: Command, script: Path, arguments: tuple[str, ...], sentence: str
) -> None:
    """One sentence, exit status 2."""
    done = command("report", script, *arguments)
    assert done.returncode == 2 and done.stderr.startswith(f"surgery: {sentence}")
