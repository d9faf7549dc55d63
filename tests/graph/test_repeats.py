"""Structural hashes and runs of alike blocks."""

from typing import Any

import pytest
import torch
from torch import nn

from graph import extract, repeats, runs, structure
from graph.repeats import attributes, structures
from tests.graph.traced import traced
from tests.zoo import ATLAS, llama


def test_blocks_differing_in_place_are_alike() -> None:
    """All blocks of a decoder are one run although each knows its own `layer_idx`."""
    (run,) = runs(extract(llama()[0]))
    assert run.parent == "model.layers"
    assert run.paths == tuple(f"model.layers.{i}" for i in range(4))


def test_interrupted_run_is_reported_per_structure() -> None:
    """Where every third block differs there is one run per structure with all its paths."""
    widths = [2, 2, 3, 2, 2, 3]
    model = nn.ModuleList(nn.Sequential(nn.Linear(4, w), nn.Linear(w, 4)) for w in widths)
    assert [run.paths for run in runs(extract(model))] == [("0", "1", "3", "4"), ("2", "5")]


def test_structure_sees_attributes_shapes_dtypes_and_children() -> None:
    """Modules with another stride, width, dtype, child or name of a child aren't alike."""
    made = [
        nn.Conv2d(2, 2, 3),
        nn.Conv2d(2, 2, 3, stride=2),
        nn.Conv2d(2, 3, 3),
        nn.Conv2d(2, 2, 3).half(),
        nn.Sequential(nn.ReLU()),
        nn.Sequential(nn.GELU()),
        nn.ModuleDict({"a": nn.ReLU()}),
        nn.ModuleDict({"b": nn.ReLU()}),
    ]
    assert len({structure(module) for module in made}) == len(made)


def test_structure_ignores_values_and_mode() -> None:
    """Values of tensors and training flags don't matter."""
    one, two = nn.Linear(2, 2), nn.Linear(2, 2).eval()
    with torch.no_grad():
        two.weight.zero_()
    assert structure(one) == structure(two)


class Said(nn.Module):
    """A module that holds one value."""

    def __init__(self, value: Any) -> None:
        super().__init__()
        self.value = value


@pytest.mark.parametrize(
    ("one", "two"),
    [(0.0, -0.0), (1, True), (1, 1.0), ((1, 2), (True, 2)), ("None", None), ([1.0], [1])],
    ids=["zeros", "flag", "number", "in a tuple", "nothing", "in a list"],
)
def test_what_is_equal_and_not_written_alike_is_told_apart(one: Any, two: Any) -> None:
    """Whichever came first, each is described by its own value, and the hashes differ."""
    made = [Said(value) for value in (one, two, one, two)]
    said = [repr(attributes(module)) for module in made]
    assert said[:2] == said[2:] and said[0] != said[1]
    assert structure(made[0]) == structure(made[2]) != structure(made[1])


@pytest.mark.parametrize("name", ATLAS)
def test_what_is_remembered_changes_no_hash(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Hashes are the same where nothing was remembered, and where all is forgotten again and again."""
    model = traced(name).model
    known = structures(model)
    for kept in ("_readers", "_known", "_descriptions", "_hashes"):
        monkeypatch.setattr(repeats, kept, {})
    monkeypatch.setattr(repeats, "MOST", 2)
    assert structures(model) == known
    assert max(len(repeats._known), len(repeats._hashes), len(repeats._readers)) <= 2
