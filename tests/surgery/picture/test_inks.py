"""The colours on paper are those on the screen."""

from __future__ import annotations

import re
from dataclasses import asdict
from pathlib import Path

import pytest

from surgery.picture.inks import CIVIDIS, DARK, LIGHT, TIES, score_colour, tie_colour

FRONTEND = Path(__file__).parents[3] / "widgets" / "frontend" / "src"


def test_neutral_colours_are_the_studios() -> None:
    """Each stands in tokens.css under its name, light and dark."""
    css = (FRONTEND / "styles" / "tokens.css").read_text(encoding="utf-8")
    tokens = {name: pair for name, *pair in re.findall(r"--ms-(\w+): light-dark\((#\w{6}), (#\w{6})\);", css)}
    for name in asdict(LIGHT):
        assert [getattr(LIGHT, name), getattr(DARK, name)] == tokens[name], name


def test_colours_that_are_data_are_the_studios() -> None:
    """Ties and scores, in the same order as in palette.ts."""
    found = re.findall(r'"(#\w{6})"', (FRONTEND / "shared" / "palette.ts").read_text(encoding="utf-8"))
    assert found[: len(TIES) + len(CIVIDIS)] == [*TIES, *CIVIDIS]


@pytest.mark.parametrize(("score", "colour"), [(0.0, CIVIDIS[0]), (1.0, CIVIDIS[-1]), (7.0, CIVIDIS[-1])])
def test_a_score_has_the_colour_of_its_place(score: float, colour: str) -> None:
    """The ends are the ends, and what lies beyond them is there."""
    assert score_colour(score) == colour


def test_ties_repeat_after_six() -> None:
    """Hence their numbers."""
    assert tie_colour(7) == tie_colour(1) != tie_colour(2)
