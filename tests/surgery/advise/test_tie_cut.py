"""Tie cut: a tie falls in two where its ends pull against one another."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

import surgery
from surgery.advise import Item
from surgery.advise.gradients.tie_cut import cut
from surgery.errors import SurgeryError
from surgery.evaluate import Examples, tensors
from tests.surgery.advise.models import classifier

pytestmark = pytest.mark.usefixtures("one_thread")


class Signed(nn.Module):
    """One matrix at several places, whose results are added, each by a factor of its own."""

    def __init__(self, factors: tuple[float, ...]) -> None:
        super().__init__()
        self.ends = nn.ModuleList(nn.Linear(4, 3, bias=False) for _ in factors)
        for end in self.ends[1:]:
            end.weight = self.ends[0].weight
        self.factors = factors

    def forward(self, x: Tensor) -> Tensor:
        return sum(
            (factor * end(x) for factor, end in zip(self.factors, self.ends, strict=True)), x.new_zeros(())
        )


def signed(*factors: float) -> tuple[surgery.Session, Examples]:
    """A tie of so many ends, and labelled points."""
    torch.manual_seed(0)
    points = torch.randn(9, 4)
    return surgery.open(Signed(factors), points[:1]), tensors(points, torch.arange(9) % 3)


def test_ends_that_pull_apart_are_parted() -> None:
    """Those of one sign stay together; the side without the first end is named, with what is between them."""
    session, examples = signed(1.0, -0.5, 0.7, -2.0)
    advice = session.advise("tie_cut", examples=examples)
    assert advice.items == (Item("ends.1", None, ("ends.3",)),)
    assert advice.numbers == pytest.approx((-1.0,))
    assert advice.edit == "untie" and advice.together


def test_one_click_unties_that_side_together() -> None:
    """What is suggested makes the tie two ties, and changes no output."""
    session, examples = signed(1.0, -0.5, 0.7, -2.0)
    with torch.no_grad():
        before = session.model(session.opened.inputs)
    session.advise("tie_cut", examples=examples)
    (suggestion,) = [item for item in session.suggest(9) if item.step.name == "untie"]
    suggestion.apply()
    made: Any = session.model
    weights = [end.weight for end in made.ends]
    assert weights[0] is weights[2] and weights[1] is weights[3] and weights[0] is not weights[1]
    with torch.no_grad():
        assert torch.equal(made(session.opened.inputs), before)


def test_ends_that_agree_are_ranked_last() -> None:
    """A tie all of whose ends agree has a high number: nothing is gained by cutting it."""
    session, examples = signed(1.0, 0.5, 2.0)
    assert session.advise("tie_cut", examples=examples).numbers == pytest.approx((1.0,))


def test_the_cut_is_the_least_of_all() -> None:
    """Between the two ends that agree least no other two sides hold together less, tried one by one."""
    drawn = torch.Generator().manual_seed(3)
    for _ in range(20):
        vectors = torch.randn(6, 3, generator=drawn, dtype=torch.float64)
        vectors = vectors / vectors.norm(dim=1, keepdim=True)
        table = (vectors @ vectors.T).fill_diagonal_(torch.nan)
        held = table.nan_to_num(0).clamp_min(0)
        least = int(table.nan_to_num(9).argmin())
        first, last = divmod(least, 6)

        def weight(side: list[int], held: Tensor = held) -> float:
            return float(held[side][:, [place for place in range(6) if place not in side]].sum())

        sides = [[place for place in range(6) if number >> place & 1] for number in range(64)]
        parting = [side for side in sides if (first in side) != (last in side)]
        found = cut(table)
        assert 0 not in found and (first in found) != (last in found)
        assert weight(found) == pytest.approx(min(map(weight, parting)))


def test_no_tie_no_cut() -> None:
    """Refused with what to do."""
    session, examples = classifier()
    with pytest.raises(SurgeryError, match="there are no ties here"):
        session.advise("tie_cut", examples=examples)
