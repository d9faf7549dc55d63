"""Shorten takes out the blocks that its criterion says, by formulas written out here."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import surgery
from surgery import Session, SurgeryError
from surgery.charts import Bars
from tests.zoo import ATLAS
from tests.zoo.families import stirred

WIDTH = 6


class Scaled(nn.Module):
    """x · factor + a little of a linear layer."""

    def __init__(self, factor: float, little: float, extra: int = 0) -> None:
        super().__init__()
        self.factor, self.little = factor, little
        self.linear = nn.Linear(WIDTH, WIDTH)
        self.more = nn.Parameter(torch.zeros(extra)) if extra else None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * self.factor + self.little * self.linear(x)


class Stack(nn.Module):
    """Blocks one after another, and a head."""

    def __init__(self, *blocks: nn.Module) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(blocks)
        self.head = nn.Linear(WIDTH, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for block in self.blocks:
            x = block(x)
        return self.head(x)


def opened(*blocks: nn.Module) -> Session:
    """A session on such a stack with two batches of data."""
    torch.manual_seed(0)
    data = [torch.randn(5, WIDTH), torch.randn(4, WIDTH)]
    session = surgery.open(Stack(*blocks).eval(), inputs=data[0])
    session.data = data
    return session


def five() -> Session:
    """Blocks of various strength."""
    torch.manual_seed(1)
    return opened(*(Scaled(1.0, little) for little in (0.5, 0.02, 0.9, 0.1, 0.3)))


def gone(session: Session) -> list[int]:
    """The places that the last step took out."""
    measured = session.steps[-1].measured  # type: ignore[attr-defined]
    return [int(place) for place in measured.tensors["gone"]]


def without(model: Any, places: list[int], x: torch.Tensor) -> torch.Tensor:
    """What a stack gives without these blocks."""
    with torch.no_grad():
        for place, block in enumerate(model.blocks):
            x = x if place in places else block(x)
        return model.head(x)


def test_influence_is_one_less_the_cosine() -> None:
    """An identity has none and goes first; a negation has 2 and stays; scale is not seen."""
    session = opened(Scaled(1, 0.4), Scaled(-1, 0), Scaled(1, 0), Scaled(3, 0))
    session.shorten("blocks[*]", count=2)
    assert gone(session) == [2, 3]
    session.undo()
    chart = session.chart("shorten", "blocks[*]", count=2)
    assert isinstance(chart, Bars) and chart.marked == (2, 3)
    assert chart.values[1] == pytest.approx(2) and chart.values[2] == pytest.approx(0, abs=1e-9)


def test_influence_equals_the_formula() -> None:
    """1 − E cos(x, f(x)) over all rows of all batches."""
    session = five()
    chart = session.chart("shorten", "blocks[*]", count=1)
    x, expected = torch.cat(list(session.data)[:2]), []
    with torch.no_grad():
        for block in session.model.blocks:  # type: ignore[union-attr]
            y = block(x)
            expected.append(1 - float(F.cosine_similarity(x.double(), y.double()).mean()))
            x = y
    samples = sum(len(batch) for batch in session.data)
    session.shorten("blocks[*]", count=1, samples=samples)
    assert gone(session) == [min(range(5), key=expected.__getitem__)]
    assert chart is not None


def test_the_angle_is_of_a_run() -> None:
    """Arccos of the cosine before and behind `count` neighbours, the least of all runs."""
    session = five()
    states = [torch.cat(list(session.data))]
    with torch.no_grad():
        for block in session.model.blocks:  # type: ignore[union-attr]
            states.append(block(states[-1]))
    angles = [
        float(
            (torch.arccos(F.cosine_similarity(states[i].double(), states[i + 2].double())) / math.pi).mean()
        )
        for i in range(4)
    ]
    first = min(range(4), key=angles.__getitem__)
    session.shorten("blocks[*]", count=2, by="angle", samples=99)
    assert gone(session) == [first, first + 1]


def test_the_distortion_of_one_removal_is_exact() -> None:
    """E‖f − f′‖² / E‖f‖² of each block taken out, written out."""
    session = five()
    x = torch.cat(list(session.data))
    model = session.model
    whole = without(model, [], x).double()
    expected = [
        float((whole - without(model, [place], x).double()).square().sum() / whole.square().sum())
        for place in range(5)
    ]
    order = sorted(range(5), key=expected.__getitem__)
    session.shorten("blocks[*]", count=2, by="distortion", samples=99)
    assert gone(session) == sorted(order[:2])
    session.undo()
    session.data = [x]
    chart = session.chart("shorten", "blocks[*]", count=2, by="distortion")
    assert isinstance(chart, Bars) and len(chart.values) == 5 and chart.marked == tuple(gone_of(chart, 2))


def gone_of(chart: Bars, count: int) -> list[int]:
    """The places of the lowest bars."""
    return sorted(sorted(range(len(chart.values)), key=chart.values.__getitem__)[:count])


def test_a_size_is_a_knapsack() -> None:
    """A heavy block may be cheaper than two light ones; sums are over removals alone."""
    torch.manual_seed(2)
    session = opened(Scaled(1, 0.2), Scaled(1, 0.25, extra=400), Scaled(1, 0.2), Scaled(1, 0.9))
    session.shorten("blocks[*]", size=0.5, by="distortion", samples=99)
    assert gone(session) == [1]
    session.undo()
    session.shorten("blocks[*]", size=0.05, by="distortion", samples=99)
    assert len(gone(session)) == 1 and gone(session) != [3]


def test_greedy_scores_anew_after_every_block() -> None:
    """By brute force: each time the block whose removal leaves the least distortion of the whole."""
    session = five()
    x, model, expected = torch.cat(list(session.data)), session.model, list[int]()
    whole = without(model, [], x).double()
    for _ in range(3):
        left = [place for place in range(5) if place not in expected]
        expected.append(
            min(
                left, key=lambda p: float((whole - without(model, [*expected, p], x).double()).square().sum())
            )
        )
    session.shorten("blocks[*]", count=3, by="greedy", samples=99)
    assert gone(session) == sorted(expected)


def text() -> Session:
    """A small decoder that has learned nothing, with ids to run on, some of them padding."""
    session = surgery.open(*ATLAS["llama"]())
    stirred(session.model)
    ids = torch.randint(3, 60, (4, 12), generator=torch.Generator().manual_seed(0))
    mask = torch.ones_like(ids)
    mask[1, 9:] = 0
    session.data = [{"input_ids": ids, "attention_mask": mask}]
    return session


def test_the_loss_is_that_of_the_next_token() -> None:
    """The model without a block, by transformers itself; padding is left out."""
    session = text()
    batch = session.data[0]
    labels = batch["input_ids"].masked_fill(batch["attention_mask"] == 0, -100)
    expected = []
    blocks = len(session.model.model.layers)  # type: ignore[union-attr]
    for place in range(blocks):
        session.remove(f"model.layers[{place}]")
        with torch.no_grad():
            expected.append(float(session.model(**batch, labels=labels).loss))
        session.undo()
    chart = session.chart("shorten", "model.layers[*]", count=1, by="loss")
    assert isinstance(chart, Bars) and chart.values == pytest.approx(expected, rel=1e-5)
    session.shorten("model.layers[*]", count=1, by="loss")
    assert gone(session) == [min(range(blocks), key=expected.__getitem__)]


def test_a_script_needs_no_data() -> None:
    """The places are in the step: a replay takes out the same."""
    session = text()
    session.shorten("model.layers[*]", count=2, by="greedy")
    script = surgery.Script.from_json(session.script.to_json())
    model, inputs = ATLAS["llama"]()
    stirred(model)
    assert surgery.replay(script, model, inputs=inputs).fingerprint() == session.fingerprint()


def test_a_preview_runs_nothing_and_is_exact_for_equal_blocks() -> None:
    """Of unlike ones it says at most, which holds."""
    session = text()
    session.data = []
    shown = session.preview("shorten", "model.layers[*]", count=2)
    assert shown.bounds is None
    unlike = opened(Scaled(1, 0), Scaled(1, 0, extra=90), Scaled(1, 0.5))
    shown = unlike.preview("shorten", "blocks[*]", count=1, by="distortion")
    assert shown.bounds == {"parameters"}
    unlike.shorten("blocks[*]", count=1)
    assert sum(item.numel() for item in unlike.model.parameters()) <= shown.after.parameters


def shared() -> Session:
    """Five blocks of which the second and third have one weight, the fourth and fifth too."""
    session = five()
    for target, source in ((2, 1), (4, 3)):
        session.tie(f"blocks.{target}", to=f"blocks.{source}")
    return session


@pytest.mark.parametrize("by", ["distortion", "greedy", "influence"])
def test_a_size_counts_shared_parameters_once(by: str) -> None:
    """They go with the last block that has them: so much is gone as was asked, at the least."""
    session = shared()
    blocks = 3 * (WIDTH * WIDTH + WIDTH)
    before = sum(item.numel() for item in session.model.parameters())
    session.shorten("blocks[*]", size=0.3, by=by)
    after = sum(item.numel() for item in session.model.parameters())
    assert before - after >= 0.3 * blocks


def test_a_preview_of_blocks_that_share_is_a_bound() -> None:
    """What goes with them is not known before it is measured, and is no less than nothing."""
    session = shared()
    shown = session.preview("shorten", "blocks[*]", count=2)
    assert shown.bounds == {"parameters"} and shown.after.parameters == shown.before.parameters
    sized = text().preview("shorten", "model.layers[*]", size=0.4)
    assert [row[0] for row in sized.rows()] == ["Parameters"]  # how many keys and values go hangs on which


def test_greedy_takes_as_much_as_was_asked_or_refuses() -> None:
    """Of five equal blocks four fifths can go and no more; the sentence says so."""
    session = five()
    session.shorten("blocks[*]", size=0.75, by="greedy")
    assert len(gone(session)) == 4
    with pytest.raises(SurgeryError, match=r"blocks\[\*\]: so much would leave none.*at most 0.8"):
        five().shorten("blocks[*]", size=0.81, by="greedy")
    with pytest.raises(SurgeryError, match=r"share parameters.*at most 0.333.*by=\"greedy\""):
        shared().shorten("blocks[*]", size=0.5, by="distortion")


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({}, "one of count and size"),
    ({"count": 1, "size": 0.5}, "one of count and size"),
    ({"count": 5}, "at most 4"),
    ({"count": 1, "by": "loss"}, "predicts no text"),
    ({"size": 0.5, "by": "angle"}, "run of so many blocks"),
    ({"count": 1, "by": "angle", "targets": "blocks[0], blocks[2]"}, "neighbours"),
    ({"count": 1, "targets": "head"}, "head"),
]


@pytest.mark.parametrize(("fields", "said"), REFUSED)
def test_what_is_refused(fields: dict[str, Any], said: str) -> None:
    """With a sentence, and nothing is changed."""
    session = five()
    with pytest.raises(SurgeryError, match=said):
        session.shorten(**{"targets": "blocks[*]", **fields})
    assert not session.steps


def test_without_data_it_says_how_to_give_some() -> None:
    """A model of no text has none."""
    session = five()
    session.data = []
    with pytest.raises(SurgeryError, match=r"s\.data = "):
        session.shorten("blocks[*]", count=1)
