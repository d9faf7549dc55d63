"""`surgery suggest` and `surgery plan`: what the session says, in words, as data and as a script."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import surgery
from tests.surgery.test_cli import Command, command

__all__ = ["command"]

QUICK = ("--budget", "0", "--task", "accuracy", "--device", "cpu")


def test_suggest_lists_edits_and_writes_the_one_to_take(command: Command, tmp_path: Path) -> None:
    """Best first, with reasons where they are asked for."""
    found, script = tmp_path / "found.json", tmp_path / "one.surgery.json"
    arguments = ("--operation", "remove", "--count", "3", "--why", "--take", "2")
    done = command("suggest", "demo-vit", *QUICK, *arguments, "--json", found, "--script", script)
    assert done.returncode == 0, done.stderr
    assert "  1  remove " in done.stdout and "Measured alone" in done.stdout and "3 more" in done.stdout
    listed = json.loads(found.read_text())
    steps = json.loads(script.read_text())["steps"]
    assert len(listed) == 3 and steps[0]["targets"] == listed[1]["step"]["targets"]


def test_plan_says_what_is_saved_and_lost_and_writes_one_step_each(
    command: Command,
    tmp_path: Path,
) -> None:
    """The script replays to a model of just that size; measured beside the band."""
    found, script = tmp_path / "found.json", tmp_path / "plan.surgery.json"
    arguments = ("--to", "-40%", "--operation", "remove", "--calibrate", "0", "--measure")
    done = command("plan", "demo-vit", *QUICK, *arguments, "--json", found, "--script", script)
    assert done.returncode == 0, done.stderr
    assert "−48.6 %, by 3 edits" in done.stdout and "not calibrated" in done.stdout
    assert "measured: accuracy" in done.stdout
    data = json.loads(found.read_text())
    assert len(data["steps"]) == 3 and data["measured"]["name"] == "accuracy"
    made = surgery.replay(script)
    assert len(made.steps) == 3
    assert sum(parameter.numel() for parameter in made.model.parameters()) == data["after"]


@pytest.mark.parametrize(
    "arguments, said",
    [
        (("plan", "demo-vit", "--to", "-99%", "--operation", "remove", *QUICK), "with all 5"),
        (("plan", "demo-vit", "--to", "less", "--operation", "remove", *QUICK), "says no size"),
        (("plan", "demo-vit", "--to", "-9%", "--script", "no/such/folder/s.json"), "no such folder"),
        (("suggest", "demo-vit", "--take", "2"), "--script is not given"),
    ],
)
def test_what_cannot_be_planned_is_one_sentence(
    command: Command,
    arguments: tuple[str, ...],
    said: str,
) -> None:
    """Exit status 2; of a size that cannot be reached the nearest that can."""
    done = command(*arguments)
    assert done.returncode == 2 and said in done.stderr


def test_what_one_of_the_operations_cannot_be_tried_on_is_said(command: Command) -> None:
    """The others are tried all the same."""
    done = command("suggest", "demo-vit", *QUICK, "--select", "vit.layers.0")
    assert done.returncode == 0, done.stderr
    assert "nothing to sweep tie over" in done.stderr and "remove 0" in done.stdout
