"""Advisers that read weights alone: answers that are known."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import surgery
from surgery.advise.weights.stable_rank import EXACT, stable_rank
from surgery.errors import SurgeryError
from surgery.evaluate import tensors
from tests.surgery.advise.models import Inner, Stack, linear, plane
from tests.zoo import ATLAS

pytestmark = pytest.mark.usefixtures("one_thread")


def test_the_norm_of_known_weights() -> None:
    """3 and 4 make 5; their sum is 7; twelve and a half is the mean of their squares."""
    session, _ = plane(((3.0, 0.0), (4.0, 0.0)), ((0.0, 0.0), (0.0, 1.0)))
    assert session.advise("weight_norm").numbers == pytest.approx((5.0, 1.0))
    assert session.advise("weight_norm:norm=l1").numbers == pytest.approx((7.0, 1.0))
    assert session.advise("weight_norm", norm="rms").numbers == pytest.approx((2.5, 0.5))


def test_a_matrix_of_rank_one_has_stable_rank_one() -> None:
    """And one with n equal singular values has n; of zeros there is none."""
    one = torch.outer(torch.tensor([1.0, 2.0]), torch.tensor([3.0, -1.0]))
    session, _ = plane(one, torch.eye(2), torch.zeros(2, 2))
    advice = session.advise("stable_rank")
    assert advice.numbers[:2] == pytest.approx((1.0, 2.0))
    assert advice.values.keys() == {"blocks.0", "blocks.1"} and advice.notes == ("Not scored: blocks.2.",)


def test_the_norm_of_large_matrices_is_iterated() -> None:
    """Beyond what is decomposed the answer is the same."""
    size = EXACT + 1
    assert stable_rank(torch.ones(size, size)) == pytest.approx(1.0, rel=1e-5)
    assert stable_rank(torch.eye(size)) == pytest.approx(size, rel=1e-5)


def test_copies_have_the_same_weights() -> None:
    """A copy has cosine 1, its negation −1; another shape is not compared."""
    torch.manual_seed(0)
    one = torch.randn(4, 4)
    blocks = [linear(one), linear(2 * one), linear(-one), nn.Linear(4, 4), linear(torch.randn(5, 4))]
    session = surgery.open(Stack(blocks), torch.zeros(1, 4))
    advice = session.advise("weight_similarity", "blocks[:3], blocks[4]")
    assert advice.matrix is not None
    assert advice.matrix[0][1] == pytest.approx(1.0) and advice.matrix[0][2] == pytest.approx(-1.0)
    assert advice.matrix[0][0] == 1.0 and advice.matrix[0][3] != advice.matrix[0][3]
    assert [item.path for item in advice.ranking[0].items] == ["blocks.0", "blocks.1"]
    assert advice.values == pytest.approx({"blocks.0": 1.0, "blocks.1": 1.0, "blocks.2": -1.0})


def test_nothing_of_one_shape_is_refused() -> None:
    """There is no pair to compare."""
    session = surgery.open(Stack([nn.Linear(3, 5), nn.Linear(5, 3)]), torch.zeros(1, 3))
    with pytest.raises(SurgeryError, match=r"no two of these have weights of one shape; got blocks\.0, b"):
        session.advise("weight_similarity")


def test_what_flows_is_conserved() -> None:
    """Without biases and norms every layer of a ReLU network has the same, whatever the signs."""
    torch.manual_seed(0)
    layers = [nn.Linear(5, 7, bias=False), nn.Linear(7, 6, bias=False), nn.Linear(6, 2, bias=False)]
    model = nn.Sequential(layers[0], nn.ReLU(), layers[1], nn.ReLU(), layers[2])
    session = surgery.open(model, torch.zeros(1, 5))
    advice = session.advise("synflow", "**:Linear", examples=tensors(torch.zeros(1, 5)))
    assert advice.numbers == pytest.approx((100 / 3,) * 3)


def test_what_flows_is_conserved_past_batch_norms() -> None:
    """They are passed by: the convolutions of the demonstration are each gone through."""
    advice = surgery.open("demo-cnn").advise("synflow", "stem.0, down.0, head", budget_s=0)
    assert advice.numbers[0] == pytest.approx(advice.numbers[1], rel=1e-5)
    session = surgery.open(Stack([Inner(4), Inner(4)], nn.Linear(4, 2)), torch.zeros(1, 4))
    examples = tensors(torch.zeros(1, 4))
    assert sum(session.advise("synflow", "blocks[*], head", examples=examples).numbers) == pytest.approx(100)


def test_flow_through_norms_is_positive() -> None:
    """What they divide by is taken as given; else it would cancel what flows."""
    for name in ("llama", "gemma3", "gpt2", "bert"):
        session = surgery.open(ATLAS[name]()[0])
        advice = session.advise("synflow", budget_s=0)
        assert all(value > 1 for value in advice.numbers), name


def test_weights_are_read_where_there_are_no_examples() -> None:
    """A model of which nobody knows what it takes has weights all the same."""
    session = surgery.open(Stack([nn.Linear(3, 3), nn.Linear(3, 3)]))
    assert len(session.advise("weight_norm").values) == 2
    with pytest.raises(SurgeryError, match="nothing says which examples Stack takes"):
        session.advise("block_influence")


def test_the_weights_stay_where_and_what_they_are() -> None:
    """SynFlow makes them positive for itself alone."""
    session, examples = plane(((1.0, -2.0), (-3.0, 4.0)), torch.eye(2))
    before = {name: (held.data_ptr(), held.clone()) for name, held in session.model.named_parameters()}
    for name in ("synflow", "weight_norm", "stable_rank", "weight_similarity"):
        session.advise(name, examples=examples)
    for name, held in session.model.named_parameters():
        address, values = before[name]
        assert held.data_ptr() == address and torch.equal(held, values)
