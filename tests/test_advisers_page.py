"""docs/advisers.md runs as it stands, says what the program says, and its figures were measured."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import surgery
from tools.pages import run

ROOT = Path(__file__).parent.parent
PLACE = ROOT / "docs" / "advisers.md"
PAGE = PLACE.read_text(encoding="utf-8")


def cells(line: str) -> list[str]:
    """The cells of a row of a table."""
    return [cell.strip() for cell in re.split(r"(?<!\\)\|", line.strip())[1:-1]]


def test_it_runs_as_it_stands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Python in one scope, and each command, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    session = run(PLACE)["s"]
    assert isinstance(session, surgery.Session)
    assert {"block_influence", "weight_norm", "similarity"} < session.history.current.advice.keys()
    assert Path("influence.svg").is_file()


def test_the_table_is_the_register() -> None:
    """Name, unit, which end is cheap for which edit, what it takes, source: in the order of the register."""
    rows = [cells(line) for line in PAGE.splitlines() if line.startswith("| `")]
    named = [row for row in rows if len(row) == 6]
    assert [row[0].strip("`") for row in named] == list(surgery.advisers())
    for (_, formula, *said), cls in zip(named, surgery.advisers().values(), strict=True):
        first = f"{'low' if cls.low_is_cheap else 'high'}: `{cls.edit}`"
        assert formula and said == [cls.unit or "–", first, cls.cost, cls.source], cls.name


def test_its_figures_were_measured() -> None:
    """They are those of a saved run of the benchmark, every row of it."""
    (results,) = sorted((ROOT / "benchmarks" / "results").glob("advisers-*.md"))
    measured = [line for line in results.read_text(encoding="utf-8").splitlines() if line.startswith("|")]
    assert len(measured) > len(surgery.advisers()) - 3
    shown = [line for line in PAGE.splitlines() if line.startswith("|")]
    assert [cells(line) for line in measured] == [cells(line) for line in shown[-len(measured) :]]
