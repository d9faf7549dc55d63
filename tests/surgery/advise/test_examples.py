"""Advisers that look at what goes through a model: answers that are known."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import surgery
from surgery.advise import Item
from surgery.advise.examples.naswot import JITTER
from surgery.errors import SurgeryError
from surgery.evaluate import tensors, token_windows
from tests.surgery.advise.models import TURN, Inner, Stack, linear, plane
from tests.zoo import ATLAS, experts

pytestmark = pytest.mark.usefixtures("one_thread")
SAME, OPPOSITE = torch.eye(2), -torch.eye(2)


def test_influence_is_how_far_a_block_turns() -> None:
    """An identity has none, its negation two, a quarter turn one; scale is not seen."""
    session, examples = plane(SAME, OPPOSITE, TURN, 3 * SAME)
    advice = session.advise("block_influence", examples=examples)
    assert advice.numbers == pytest.approx((0.0, 2.0, 1.0, 0.0), abs=1e-6)
    assert advice.numbers[:2] == (0.0, 2.0)
    assert [line.items[0].path for line in advice.ranking[-2:]] == ["blocks.2", "blocks.1"]


def test_padding_has_no_influence() -> None:
    """Only real tokens are counted: here the padding alone is turned."""

    class Masked(nn.Module):
        def __init__(self, sign: float) -> None:
            super().__init__()
            self.register_buffer("sign", torch.tensor(sign))

        def forward(self, x: Tensor) -> Tensor:
            return torch.cat([x[:, :2], x[:, 2:] * self.sign], 1)

    session, examples = _token_model([Masked(-1.0), Masked(1.0)], mask=[1, 1, 0, 0])
    assert session.advise("block_influence", examples=examples).numbers == (0.0, 0.0)


def test_angles_are_parts_of_a_half_turn() -> None:
    """0 for the same, a half for a quarter turn, 1 for the opposite; two quarter turns are a half turn."""
    session, examples = plane(SAME, TURN, TURN, OPPOSITE)
    one = session.advise("angular_distance", examples=examples)
    assert one.numbers == pytest.approx((0.0, 0.5, 0.5, 1.0), abs=1e-6)
    two = session.advise("angular_distance", examples=examples, n=2)
    assert two.values == pytest.approx({"blocks.0": 0.5, "blocks.1": 1.0, "blocks.2": 0.5}, abs=1e-6)
    with pytest.raises(SurgeryError, match=r"no list has so many blocks; got 5\. Try: a smaller `n`"):
        session.advise("angular_distance", examples=examples, n=5)


def test_the_angle_is_that_of_the_last_real_token() -> None:
    """What becomes of the others does not count."""

    class Only(nn.Module):
        """Turns round the token at one place."""

        def __init__(self, place: int) -> None:
            super().__init__()
            self.place = place

        def forward(self, x: Tensor) -> Tensor:
            sign = torch.ones(x.shape[1], 1)
            sign[self.place] = -1
            return x * sign

    session, examples = _token_model([Only(0), Only(2), Only(3)], mask=[1, 1, 1, 0])
    assert session.advise("angular_distance", examples=examples).numbers == (0.0, 1.0, 0.0)


def test_cka_sees_neither_rotation_nor_scale() -> None:
    """What is turned and grown is still the same to it, and a squeeze is not; the cosine sees turns."""
    session, examples = plane(SAME, TURN, 5 * SAME, ((1.0, 0.0), (0.0, 0.0)))
    cka = session.advise("similarity", examples=examples)
    assert cka.matrix is not None
    matrix = torch.tensor(cka.matrix)
    assert torch.allclose(matrix[:3, :3], torch.ones(3, 3, dtype=matrix.dtype), atol=1e-9)
    assert (matrix[3, :3] < 0.95).all() and torch.equal(matrix, matrix.T)
    cosine = session.advise("similarity", examples=examples, measure="cosine").matrix
    assert cosine is not None
    assert cosine[0][1] == pytest.approx(0.0, abs=1e-6) and cosine[1][2] == pytest.approx(1.0)


def test_a_duplicated_head_has_cosine_one() -> None:
    """Two heads with the same queries, keys and values give the same; others do not."""
    model, _ = ATLAS["llama"]()
    attention: Any = model.get_submodule("model.layers.1.self_attn")
    with torch.no_grad():
        for layer in (attention.q_proj, attention.k_proj, attention.v_proj):
            half = layer.weight.shape[0] // 2
            layer.weight[half:] = layer.weight[:half]
    session = surgery.open(model)
    examples = token_windows(torch.arange(96).reshape(12, 8) * 5 % 64)
    advice = session.advise("similarity", between="heads", measure="cosine", examples=examples)
    twins = (Item("model.layers.1.self_attn", 0), Item("model.layers.1.self_attn", 1))
    assert advice.ranking[0].items == twins and advice.ranking[0].value == pytest.approx(1.0)
    assert advice.ranking[1].value < 0.99
    assert "2 query heads that share keys and values" in advice.notes[-1]


def test_what_is_not_called_every_time_is_not_compared() -> None:
    """A module that some batches pass by has other rows than the rest; where all do, nothing is compared."""

    class Often(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.calls = 0
            self.blocks = nn.ModuleList(nn.Linear(3, 3) for _ in range(3))

        def forward(self, x: Tensor) -> Tensor:
            self.calls += 1
            return self.blocks[0](self.blocks[1](x if self.calls > 1 else self.blocks[2](x)))

    many = tensors(torch.randn(128, 3))
    session = surgery.open(Often(), torch.zeros(1, 3))
    advice = session.advise("similarity", budget_s=1e9, examples=many)
    assert set(advice.values) == {"blocks.0", "blocks.1"} and advice.notes[-1] == "Not scored: blocks.2."
    never = surgery.open(*ATLAS["nested_lists"]())  # its lists are items of a list, which nobody calls
    with pytest.raises(SurgeryError, match="similarity finds nothing to score here"):
        never.advise("similarity", budget_s=0)


def test_sparsity_is_the_part_that_is_nothing() -> None:
    """All of it where a ReLU is given negatives alone, none where all are equal; modules and functions."""

    class Act(nn.Module):
        def __init__(self, sign: float, act: Any) -> None:
            super().__init__()
            self.sign, self.act = sign, act

        def forward(self, x: Tensor) -> Tensor:
            self.act(self.sign * torch.ones_like(x))
            return x

    blocks = [Act(-1.0, torch.relu), Act(1.0, torch.relu), Act(1.0, nn.ReLU()), Act(1.0, lambda x: x)]
    session = surgery.open(Stack(blocks), torch.zeros(1, 3))
    advice = session.advise("activation_sparsity", examples=tensors(torch.randn(6, 3)))
    assert advice.numbers[:3] == (100.0, 0.0, 0.0) and math.isnan(advice.numbers[3])
    assert advice.notes[-1] == "Not scored: blocks.3."
    assert advice.ranking[0].items == (Item("blocks.0"),)


def test_a_module_of_several_functions_is_one_activation() -> None:
    """GPT-2's GELU is a tanh and products: what counts is what the module gives."""
    model, _ = ATLAS["gpt2"]()
    examples = token_windows(torch.arange(32).reshape(4, 8))
    advice = surgery.open(model).advise("activation_sparsity", examples=examples)
    assert len(advice.values) == 3 and all(0 < value < 100 for value in advice.numbers)


def test_codes_that_tell_nothing_apart() -> None:
    """One code for all: |1 1ᵀ + ε| is known. Opposite codes of two: K is the identity, and its log 0."""

    class Code(nn.Module):
        def __init__(self, factor: float, shift: float) -> None:
            super().__init__()
            self.factor, self.shift = factor, shift

        def forward(self, x: Tensor) -> Tensor:
            torch.relu(self.factor * x + self.shift)
            return x

    session = surgery.open(Stack([Code(1.0, 0.0), Code(0.0, 1.0)]), torch.zeros(1, 3))
    two = torch.tensor([[1.0, 1.0, -1.0], [-1.0, -1.0, 1.0]])
    advice = session.advise("naswot", examples=tensors(two))
    apart, alike = advice.numbers
    assert apart == pytest.approx(0.0, abs=1e-5)
    assert alike == pytest.approx((math.log(2 + JITTER) + math.log(JITTER)) / 2)
    assert advice.ranking[0].items == (Item("blocks.1"),)


def test_outliers_are_told_in_deviations() -> None:
    """Max |x| / σ: one in a hundred numbers that is not zero is √99 deviations out."""
    points = torch.zeros(10, 10)
    points[3, 4] = 7.0
    session = surgery.open(Stack([linear(torch.eye(10)), linear(-torch.eye(10))]), points[:1])
    advice = session.advise("outliers", examples=tensors(points))
    mean = 0.07
    assert advice.numbers == pytest.approx((7 / math.sqrt(0.49 - mean**2),) * 2)
    weights = session.advise("outliers", whose="weights")
    assert weights.numbers == pytest.approx((1 / 0.3,) * 2, rel=1e-6) and weights.examples == 0


def test_an_expert_that_is_never_chosen_has_none() -> None:
    """Shares are those of the routes: a half, a quarter twice, nothing."""

    class Gate(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.eye(4)[:, :3].contiguous())
            self.top_k = 1

        def forward(self, x: Tensor) -> Tensor:
            return x @ self.weight.T

    class Mixture(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.gate, self.experts = Gate(), nn.ModuleList(nn.Linear(3, 3) for _ in range(4))

        def forward(self, x: Tensor) -> Tensor:
            self.gate(x)
            return x

    tokens = torch.eye(3)[[0, 0, 1, 2]]
    session = surgery.open(Stack([Mixture(), Mixture()]), tokens)
    advice = session.advise("expert_usage", examples=tensors(tokens))
    assert advice.numbers == (50.0, 25.0, 25.0, 0.0) * 2
    assert advice.ranking[0].items == (Item("blocks.0", 3),) and "blocks.0 expert 3" in str(advice)
    assert advice.values == {"blocks.0": 0.0, "blocks.1": 0.0}


def test_all_of_a_mixtures_routes_are_counted() -> None:
    """In mixtures of transformers, whichever router they have, the shares add up to all."""
    examples = token_windows(torch.arange(32).reshape(4, 8))
    for made in (experts.mixtral, experts.qwen_moe, experts.deepseek_v3):
        session = surgery.open(made()[0])
        advice = session.advise("expert_usage", examples=examples)
        by_path: dict[str, float] = {}
        for item, value in zip(advice.items, advice.numbers, strict=True):
            by_path[item.path] = by_path.get(item.path, 0.0) + value
        assert by_path and all(total == pytest.approx(100.0) for total in by_path.values())


def test_what_is_not_there_is_refused() -> None:
    """No blocks, no experts, no heads, nothing of one width: a sentence each."""
    alone = surgery.open(nn.Sequential(nn.Linear(3, 3)), torch.zeros(1, 3))
    examples = tensors(torch.randn(4, 3))
    with pytest.raises(SurgeryError, match="Sequential has no blocks: no list of modules that are alike"):
        alone.advise("block_influence", examples=examples)
    with pytest.raises(SurgeryError, match="there are no experts here"):
        alone.advise("expert_usage", examples=examples)
    with pytest.raises(SurgeryError, match="there is no attention here whose heads are known"):
        alone.advise("similarity", between="heads", examples=examples)
    with pytest.raises(SurgeryError, match="no activation functions here"):
        alone.advise("activation_sparsity", "0", examples=examples)
    wider = surgery.open(Stack([nn.Linear(3, 5), nn.Linear(5, 3)]), torch.zeros(1, 3))
    with pytest.raises(SurgeryError, match=r"block_influence finds nothing to score here; got blocks\.0, b"):
        wider.advise("block_influence", examples=examples)


def test_a_reused_block_is_scored_at_each_of_its_places() -> None:
    """One object that is called at two paths: each call counts where it was made."""

    class Halve(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return torch.stack([x[:, 0], x[:, 1] / 2], 1)

    half = Halve()
    session = surgery.open(Stack([half, half]), torch.ones(1, 2))
    first, second = session.advise("block_influence", examples=tensors(torch.ones(4, 2))).numbers
    near = [(1 + 1 / 2) / math.sqrt(2 * 1.25), (1 + 1 / 8) / math.sqrt(1.25 * (1 + 1 / 16))]
    assert (first, second) == pytest.approx((1 - near[0], 1 - near[1]))


def test_what_a_block_writes_into_does_not_count() -> None:
    """Its input is taken as it was given, though the block adds to it in place."""

    class Negate(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x.mul_(-1)

    session = surgery.open(Stack([Negate(), Negate()]), torch.ones(1, 2))
    advice = session.advise("block_influence", examples=tensors(torch.randn(4, 2)))
    assert advice.numbers == (2.0, 2.0)


def test_encoders_and_images() -> None:
    """Models that look ahead, and those of images in stages, are scored like decoders."""
    bert = surgery.open(ATLAS["bert"]()[0])
    examples = token_windows(torch.arange(32).reshape(4, 8))
    assert len(bert.advise("block_influence", examples=examples).values) == len(
        bert.advise("similarity", examples=examples).values
    )
    digits = surgery.open("demo-cnn")
    assert set(digits.advise("block_influence", budget_s=0).values) == {
        *("stage1.0", "stage1.1", "stage1.2", "stage2.0", "stage2.1")
    }
    cosine = digits.advise("similarity", budget_s=0, measure="cosine").matrix
    assert cosine is not None and math.isnan(cosine[0][4]) and cosine[0][1] > 0


def _token_model(blocks: list[nn.Module], mask: list[int]) -> tuple[surgery.Session, Any]:
    """Blocks over embedded tokens, the windows padded as `mask` says."""

    class Tokens(Stack):
        def __init__(self) -> None:
            super().__init__(blocks)
            self.embed = nn.Embedding(16, 3)

        def forward(self, input_ids: Tensor, attention_mask: Tensor | None = None) -> Tensor:
            return super().forward(self.embed(input_ids))

    torch.manual_seed(0)
    ids = torch.arange(16).reshape(4, 4)
    examples = tensors({"input_ids": ids, "attention_mask": torch.tensor([mask] * 4)})
    return surgery.open(Tokens(), {"input_ids": ids[:1]}), examples


def test_a_residual_block_of_zeros_is_an_identity() -> None:
    """A block that adds nothing has no influence, as after a LLaMA-Pro insertion."""
    blocks = [Inner(4), Inner(4)]
    for held in blocks[1].down.parameters():
        held.data.zero_()
    session = surgery.open(Stack(blocks), torch.zeros(1, 4))
    advice = session.advise("block_influence", examples=tensors(torch.randn(8, 4)))
    assert advice.numbers[0] > 0 and advice.numbers[1] == 0.0
