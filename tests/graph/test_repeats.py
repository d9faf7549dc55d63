"""Structural hashes and runs of alike blocks."""

import torch
from torch import nn

from graph import extract, runs, structure
from tests.zoo import llama


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
