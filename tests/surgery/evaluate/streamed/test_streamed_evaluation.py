"""An evaluation over weights that stay on disk finds what one in memory finds."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import surgery
from surgery import SurgeryError
from surgery.evaluate import token_windows
from tests.surgery.evaluate.conftest import decoder, tokens

EXAMPLES = token_windows(tokens(24))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A decoder of four blocks on disk."""
    place = tmp_path_factory.mktemp("decoder")
    decoder(blocks=4).save_pretrained(place)
    return place


EDITS: dict[str, Callable[[surgery.Session], Any]] = {
    "nothing": lambda s: None,
    "remove": lambda s: s.remove("model.layers.1"),
    "swap": lambda s: s.swap("model.layers.0", "model.layers.3"),
    "share": lambda s: s.tie("model.layers.2", to="model.layers.1", start="average"),
    "several": lambda s: (
        s.narrow("model.layers.2", "neurons", ratio=0.5),
        s.sparsify("**.down_proj", ratio=0.3),
        s.duplicate("model.layers.3"),
    ),
}


@pytest.mark.parametrize("name", EDITS)
def test_it_finds_what_an_evaluation_in_memory_finds(folder: Path, name: str) -> None:
    """Bit for bit, intervals and all."""
    found = []
    for session in (surgery.open(folder), surgery.open(folder, skeleton=True)):
        EDITS[name](session)
        found.append(session.evaluate(math.inf, examples=EXAMPLES))
    assert found[1].results == found[0].results
    assert found[1].examples == found[0].examples == 24
    assert "of weights were read" in found[1].notes[-1]


def test_tasks_that_need_more_than_an_answer_are_refused(folder: Path) -> None:
    """Generation runs the model again and again."""
    with pytest.raises(SurgeryError, match="generation cannot be measured while weights are streamed"):
        surgery.open(folder, skeleton=True).evaluate(tasks=["generation"])
