"""What a layer alone costs the output, and ranks chosen by it."""

from __future__ import annotations

import threading
from itertools import product
from typing import Any

import pytest
import torch
from torch import nn

import surgery
from surgery import SurgeryError
from surgery.calibration.telling import listening
from surgery.factors.distortion import distortions, tried_ranks
from surgery.factors.layers import Layer, layers
from surgery.operations.low_rank import LowRank
from surgery.stopping import Stopped
from tests.surgery.states import run, snapshot
from tests.zoo import ZOO


def network() -> tuple[nn.Module, torch.Tensor]:
    """Three layers and images for them; the second has small weights, and what follows makes it count."""
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(16, 24), nn.Tanh(), nn.Linear(24, 24), nn.Tanh(), nn.Linear(24, 8))
    return module.double(), torch.randn(40, 16, dtype=torch.float64)


def found_in(session: surgery.Session, targets: str) -> list[Layer]:
    """The layers of these targets."""
    return layers(session.patient, LowRank.of(targets, rank=1).resolved(session.patient).targets)


def truncated(module: nn.Module, place: int, rank: int) -> nn.Module:
    """A copy of the network with one layer cut down by torch's own decomposition."""
    copy, _ = network()
    left, sizes, right = torch.linalg.svd(module[place].weight.detach(), full_matrices=False)  # type: ignore[index]
    copy[place].weight = nn.Parameter((left[:, :rank] * sizes[:rank]) @ right[:rank])  # type: ignore[index]
    return copy


def test_distortions_are_those_of_each_layer_alone() -> None:
    """‖f(x) − f′(x)‖² / ‖f(x)‖² over all examples, whatever the batches."""
    module, x = network()
    session = surgery.open(module, (x[:2],))
    before, mine = snapshot(session.model), found_in(session, "**:Linear")
    found = distortions(session.patient, mine, [x[:30], x[30:]], samples=40)
    assert snapshot(session.model) == before
    for layer, row in zip(mine, found, strict=True):
        for rank, value in zip(tried_ranks(layer), row, strict=True):
            with torch.no_grad():
                whole, moved = module(x), truncated(module, int(layer.path), rank)(x)
            assert value == pytest.approx(float((whole - moved).square().sum() / whole.square().sum()))


def test_no_more_examples_are_run_than_asked_for() -> None:
    """The last batch is cut."""
    module, x = network()
    session = surgery.open(module, (x[:2],))
    mine = found_in(session, "0")
    few = distortions(session.patient, mine, [x[:8], x[8:]], samples=12)
    assert few[0] == pytest.approx(distortions(session.patient, mine, [x[:12]], samples=99)[0])


def test_it_says_how_far_it_is_and_stops() -> None:
    """After each layer, and at once when asked."""
    module, x = network()
    session = surgery.open(module, (x[:2],))
    mine, parts, stop = found_in(session, "**:Linear"), list[float](), threading.Event()
    with listening(lambda part, _: parts.append(part)):
        distortions(session.patient, mine, [x], samples=9)
    assert parts == pytest.approx([1 / 3, 2 / 3, 1])
    stop.set()
    with listening(stop=stop), pytest.raises(Stopped):
        distortions(session.patient, mine, [x], samples=9)


def test_the_ranks_are_those_of_least_distortion_in_sum() -> None:
    """Beside all combinations of the ranks that are tried, each layer also whole."""
    module, x = network()
    session = surgery.open(module, (x[:2],))
    session.data = [x]
    mine = found_in(session, "**:Linear")
    lost = distortions(session.patient, mine, [x], samples=99)
    choices = [[*tried_ranks(layer), None] for layer in mine]
    for size in (0.3, 0.5, 0.8):
        least = min(
            sum(row[places[at]] if places[at] < len(row) else 0.0 for at, row in enumerate(lost))
            for places in product(*(range(len(row)) for row in choices))
            if sum(
                _weights(layer, row[place]) for layer, row, place in zip(mine, choices, places, strict=True)
            )
            <= size * sum(layer.sides.whole for layer in mine)
        )
        step: Any = session.low_rank("**:Linear", size=size, spread="distortion", samples=99).step
        session.undo()
        ranks = [int(step.measured.tensors[layer.path]) for layer in mine]
        came_to = sum(
            row[tried_ranks(layer).index(rank)] if rank <= layer.sides.most else 0.0
            for layer, row, rank in zip(mine, lost, ranks, strict=True)
        )
        assert came_to == pytest.approx(least)


def _weights(layer: Layer, rank: int | None) -> int:
    return layer.sides.whole if rank is None else rank * (layer.sides.outputs + layer.sides.inputs)


def test_padding_counts_for_nothing() -> None:
    """Positions that the mask leaves out may hold anything."""
    model, inputs = ZOO["llama"]()
    session = surgery.open(model, inputs)
    mine = found_in(session, "model.layers[0].mlp.up_proj")
    ids = torch.arange(12).reshape(2, 6)
    mask = torch.tensor([[1, 1, 1, 1, 0, 0], [1, 1, 1, 1, 1, 1]])
    other = torch.where(mask == 0, 40, ids)
    one, two = (
        distortions(session.patient, mine, [{"input_ids": given, "attention_mask": mask}], samples=9)
        for given in (ids, other)
    )
    assert one == two and one[0][0] > 0


def test_conv1d_is_cut_the_way_it_lies() -> None:
    """Beside the model with the factors in place."""
    model, inputs = ZOO["gpt2"]()
    session = surgery.open(model, inputs)
    mine = found_in(session, "transformer.h[1].mlp.c_fc")
    rank = tried_ranks(mine[0])[1]
    value = distortions(session.patient, mine, [inputs], samples=99)[0][1]
    before = run(session.model, inputs)
    session.low_rank("transformer.h[1].mlp.c_fc", rank=rank)
    moved = run(session.model, inputs) - before
    assert value == pytest.approx(float(moved.square().sum() / before.square().sum()), rel=1e-3)


BAD: dict[str, tuple[list[Any], dict[str, Any], str]] = {
    "no data": ([], {"size": 0.5}, "needs data"),
    "what it does not take": ([torch.randn(4, 7)], {"size": 0.5}, "cannot run a batch"),
    "less than the ranks that are tried": ([torch.randn(4, 16)], {"size": 0.06}, "rank 1 each|all larger"),
}


@pytest.mark.parametrize("name", BAD)
def test_refused(name: str) -> None:
    """With a sentence that says what is wanted."""
    data, fields, sentence = BAD[name]
    module, x = network()
    session = surgery.open(module.float(), (x[:2].float(),))
    session.data = data
    with pytest.raises(SurgeryError, match=sentence):
        session.low_rank("**:Linear", spread="distortion", **fields)


def test_outputs_that_are_no_numbers_are_refused() -> None:
    """Nothing is near them, and ranks chosen by it would be any."""
    module, x = network()
    with torch.no_grad():
        module.get_parameter("0.weight")[2, 3] = torch.nan
    session = surgery.open(module, (x,))
    session.data = [(x,)]
    with pytest.raises(SurgeryError, match="on these data are not numbers"):
        session.low_rank("2, 4", size=0.5, spread="distortion")


def test_labels_beside_the_inputs_are_left_out() -> None:
    """The classifiers' data have them, and their forward takes none."""
    session = surgery.open("demo-cnn")
    assert "labels" in session.data[0]
    session.low_rank("head", size=0.5, spread="distortion", samples=4)
    assert len(session.steps) == 1
