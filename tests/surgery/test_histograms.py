"""How values are spread: every value is counted, tied ones once, and what is no number is said."""

from __future__ import annotations

import pytest
import torch

import surgery
from surgery import SurgeryError
from surgery.histograms import BINS, EXAMPLES, PIECE, activations, histogram, weights
from tests.zoo import ZOO


def test_every_value_is_counted() -> None:
    """Over several tensors, with the figures of all of them."""
    values = [torch.tensor([0.0, 0.0, 1.0]), torch.tensor([[3.0, torch.nan]]), torch.empty(0)]
    found = histogram(values, bins=3)
    assert (found.count, found.low, found.high, found.counts) == (4, 0.0, 3.0, (2, 1, 1))
    assert (found.mean, found.zeros, found.broken) == (1.0, 0.5, 1)
    assert found.deviation == pytest.approx(1.224745, abs=1e-6)


def test_one_value_stands_in_the_middle() -> None:
    """A norm's ones have a histogram, too; nothing has none."""
    found = histogram([torch.ones(10)])
    assert sum(found.counts[BINS // 2 - 1 : BINS // 2 + 1]) == 10 and found.low < 1 < found.high
    with pytest.raises(SurgeryError, match="no values"):
        histogram([torch.full((2,), torch.nan)])


def test_the_ends_of_a_dtype_have_a_histogram() -> None:
    """And what is more than one piece is counted once."""
    assert histogram([torch.tensor([1e300, 1.0], dtype=torch.float64)]).counts[0] == 1
    assert sum(histogram([torch.tensor([-3e38, 3e38, 0.0])]).counts) == 3
    many = torch.arange(PIECE + 3, dtype=torch.float32)
    found = histogram([many, many[:2]], bins=4)
    assert found.count == sum(found.counts) == PIECE + 5 and found.zeros == pytest.approx(2 / (PIECE + 5))


def test_weights_of_a_block_count_ties_once() -> None:
    """All parameters below the path."""
    session = surgery.open(*ZOO["llama"]())
    block = sum(parameter.numel() for parameter in session.model.get_submodule("model.layers.1").parameters())
    assert weights(session, "model.layers.1").count == sum(weights(session, "model.layers.1").counts) == block
    whole = sum(parameter.numel() for parameter in session.model.parameters())
    assert weights(session, "").count == whole
    for path, problem in (("model.layers.9", "no such module"), ("model.rotary_emb", "no parameters")):
        with pytest.raises(SurgeryError, match=problem) as refused:
            weights(session, path)
        assert refused.value.path == path


def test_activations_are_those_of_the_edited_model() -> None:
    """What a module gives on a few examples; the session's model is left as it is."""
    session = surgery.open("demo")
    mode = session.model.training
    before = activations(session, "model.layers.1")
    assert before.count % EXAMPLES == 0
    session.scale("model.layers.1.mlp.down_proj", factor=0.0)
    after = activations(session, "model.layers.1.mlp")
    assert after.zeros == 1.0 and session.model.training is mode
    assert activations(session, "model.layers.1").deviation < before.deviation
    with pytest.raises(SurgeryError, match="does not give hidden states"):
        activations(session, "model.layers")


def test_a_skeleton_has_no_values() -> None:
    """It says so."""
    session = surgery.open("demo", skeleton=True)
    with pytest.raises(SurgeryError, match="without weights"):
        weights(session, "model.layers.0")
