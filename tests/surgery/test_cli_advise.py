"""`surgery advise` and `surgery advisers`: who can be asked, and what they say."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

import surgery
from tests.surgery.test_cli import Command, command

__all__ = ["command"]


def test_advisers_are_listed(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every one by name, with fields, source and what it reads."""
    monkeypatch.setenv("COLUMNS", "200")
    done = command("advisers")
    assert done.returncode == 0
    assert all(name in done.stdout for name in surgery.advisers())
    assert "arXiv:2403.03853" in done.stdout and "between='blocks'" in done.stdout
    assert "the weights once" in done.stdout


def test_advice_is_a_table_of_each(command: Command) -> None:
    """Those that are named, with their fields, cheapest first, and on what it was found."""
    asked = ("--adviser", "block_influence", "--adviser", "angular_distance:n=2", "--budget", "0")
    done = command("advise", "demo-vit", *asked)
    assert done.returncode == 0, done.stderr
    assert "Block influence (block_influence; Men et al. 2024" in done.stdout
    assert "Each from the block that is named over 2 blocks." in done.stdout
    assert re.search(r"^ +1  vit\.layers\.\d  +0\.\d+$", done.stdout, re.MULTILINE)


def test_advice_as_data(command: Command, tmp_path: Path) -> None:
    """A list in JSON, of the state that a script leads to, of what was selected."""
    session = surgery.open("demo-vit")
    session.remove("vit.layers[0]")
    script = tmp_path / "edits.surgery.json"
    session.script.write(script)
    done = command(
        *("advise", "demo-vit", "--script", script, "--adviser", "weight_norm", "--adviser", "stable_rank"),
        *("--select", "vit.layers[*].mlp", "--json"),
    )
    assert done.returncode == 0, done.stderr
    norm, rank = json.loads(done.stdout)
    assert (norm["adviser"], rank["adviser"]) == ("weight_norm", "stable_rank")
    assert [item["path"] for item in norm["items"]] == [f"vit.layers.{place}.mlp" for place in range(5)]


def test_of_all_those_who_cannot_say_why(command: Command) -> None:
    """Without a name everybody is asked, and a refusal is a line among the tables."""
    done = command("advise", "demo-cnn", "--budget", "0")
    assert done.returncode == 0, done.stderr
    assert "expert_usage: there are no experts here" in done.stdout
    assert "head_importance: there is no attention here" in done.stdout
    assert done.stdout.count("rank  p") == len(surgery.advisers()) - 4  # and no ties, for two


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (("--adviser", "snipp"), "no adviser is called 'snipp'.*`snip`"),
        (("--adviser", "expert_usage"), "there are no experts here"),
        (("--adviser", "similarity:between=rows"), "similarity.between"),
        (("--adviser", "weight_norm", "--select", "nowhere"), "nowhere"),
    ],
)
def test_refusals(command: Command, arguments: tuple[str, ...], problem: str) -> None:
    """A name, a field or a place that is not there, in one sentence with exit status 2."""
    done = command("advise", "demo-cnn", *arguments)
    assert done.returncode == 2 and re.search(problem, done.stderr), done.stderr
