"""What a sweep could get silently wrong, or fail over after long work."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import surgery
from surgery import SurgeryError
from surgery.evaluate import Evaluator, token_windows
from surgery.evaluate.data import tensors
from surgery.evaluate.sweep import wave
from surgery.evaluate.sweep.colours import costs
from tests.surgery.evaluate.conftest import decoder, tokens
from tests.surgery.evaluate.test_taped import Late


class Shifting(nn.Module):
    """A layer that is given a tensor with a row per position."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(97, 97)

    def forward(self, x: Tensor, shift: Tensor) -> Tensor:
        return self.linear(x) + shift


class Shifted(nn.Module):
    """Four of them."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList(Shifting() for _ in range(4))
        self.head = nn.Linear(97, 4)

    def forward(self, x: Tensor) -> Tensor:
        shift = torch.arange(x.shape[1]).unsqueeze(1) / 10
        for layer in self.layers:
            x = layer(x, shift)
        return self.head(x)


def test_an_edit_before_the_blocks_shares_no_pass() -> None:
    """Embeddings of tokens that the two probed windows do not hold."""
    model: Any = decoder(blocks=4).eval()
    vocabulary = model.config.vocab_size
    with torch.no_grad():
        model.model.embed_tokens.weight[50:] *= 1e-6
    ids = torch.randint(0, 40, (24, 16), generator=torch.Generator().manual_seed(0))
    later = token_windows(ids).order[2:]
    ids[later, ::2] = torch.randint(50, vocabulary, (22, 8), generator=torch.Generator().manual_seed(0))
    session, examples = surgery.open(model), token_windows(ids)
    select = "model.embed_tokens, model.layers.*.mlp.up_proj"
    shared, alone = (
        session.sweep("sparsify", select, ratio=0.5, examples=examples, budget_s=math.inf, exact=exact)
        for exact in (False, True)
    )
    assert [row.figures for row in shared] == [row.figures for row in alone]
    assert sum(row.shared for row in shared) == 4


def test_a_batch_that_cannot_be_shared_is_not() -> None:
    """As many positions as rows: the probe, of two rows, could not know."""
    inputs = torch.randn(64, 32, 97, generator=torch.Generator().manual_seed(0))
    session = surgery.open(Shifted().eval(), inputs[:1])
    shared, alone = (
        session.sweep("remove", "layers[*]", examples=tensors(inputs), budget_s=math.inf, exact=exact)
        for exact in (False, True)
    )
    assert [row.figures for row in shared] == [row.figures for row in alone]


def test_a_pass_that_runs_out_of_memory_is_not_shared(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each candidate then runs by itself."""
    together, calls = wave.Wave._together, list[int]()

    def scarce(self: wave.Wave, *given: Any) -> None:
        calls.append(1)
        if len(calls) > 6:
            raise torch.OutOfMemoryError("out of memory")
        together(self, *given)

    monkeypatch.setattr(wave.Wave, "_together", scarce)
    session = surgery.open(decoder(blocks=4).eval())
    report = session.sweep("remove", "model.layers[*]", examples=token_windows(tokens(24)), budget_s=math.inf)
    assert len(report.measured) == 4 and not any(row.shared for row in report)


def test_other_labels_are_another_sweep(tmp_path: Path) -> None:
    """And so is one that runs each edit by itself, and large data are no hindrance."""
    inputs = torch.randn(20, 8, 97)
    session = surgery.open(Shifted().eval(), inputs[:1])
    labels = torch.randint(0, 4, (20, 8))
    given: dict[str, Any] = {"budget_s": 0.0, "resume": tmp_path / "kept.json"}
    session.sweep("remove", "layers[*]", examples=tensors(inputs, labels), **given)
    for others, exact in (((labels + 1) % 4, False), (labels, True)):
        with pytest.raises(SurgeryError, match="measured otherwise"):
            session.sweep("remove", "layers[*]", examples=tensors(inputs, others), exact=exact, **given)
    large = tensors(torch.randn(40, 5000, 97))
    given["resume"] = tmp_path / "large.json"
    assert len(session.sweep("remove", "layers[*]", examples=large, **given)) == 4
    given["resume"] = tmp_path / "none" / "kept.json"
    with pytest.raises(SurgeryError, match="no such folder"):
        session.sweep("remove", "layers[*]", examples=large, **given)


@pytest.mark.parametrize("worst", [1e7, math.inf])
def test_one_ruinous_edit_leaves_the_others_their_ranks_and_colours(worst: float) -> None:
    """A perplexity of millions, or none at all."""
    session = surgery.open(decoder(blocks=4).eval())
    report = session.sweep("remove", "model.layers[*]", examples=token_windows(tokens(8)), budget_s=0.0)
    afters = (256.0, 257.0, 259.0, worst)
    rows = tuple(
        replace(row, figures=tuple(replace(figure, before=255.0, after=after) for figure in row.figures[:1]))
        for row, after in zip(report.rows, afters, strict=True)
    )
    report = replace(report, rows=rows)
    assert report.ranks == (1, 2, 3, 4)
    found = costs(report)
    assert found is not None and all(0 <= value <= 1 for value in found.parts.values())


class Lists(nn.Module):
    """Blocks that pass one state on, so that candidates share a pass."""

    def __init__(self, *layers: nn.Module) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layers)
        self.head = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            x = layer(x)
        out: Tensor = self.head(x)
        return out


@pytest.mark.parametrize("exact", [False, True])
@pytest.mark.parametrize("batch", [4, 64])
@pytest.mark.parametrize(
    "make, select",
    [
        (lambda: nn.Sequential(Late(), nn.Linear(4, 4), nn.Linear(4, 3)), "*:Linear"),
        (lambda: Lists(Late(), Late(), Late()), "layers.*.linear"),
    ],
)
def test_a_block_that_writes_into_itself_late_is_measured_anew(
    make: Callable[[], nn.Module], select: str, batch: int, exact: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For each candidate, as an evaluation by itself does: nothing of one is left for the next."""
    monkeypatch.setattr("surgery.evaluate.bench.BATCH", batch)
    monkeypatch.setattr("surgery.evaluate.bench.MOST", batch)
    monkeypatch.setattr("surgery.evaluate.sweep.sweeper.GROUP", 2)
    torch.manual_seed(0)
    model, x = make().eval(), torch.randn(40, 4)
    x[33] *= 1000
    examples, session = tensors(x, torch.randint(3, (40,))), surgery.open(model, (x[:2],))
    found = session.sweep(
        "sparsify", select, ratio=0.5, examples=examples, budget_s=math.inf, device="cpu", exact=exact
    )
    assert "writes into itself" in str(found) and not any(row.shared for row in found)
    for row in found:
        session.apply(row.step)
        alone = Evaluator(model, examples=examples, device="cpu", tape_bytes=0)
        assert row.figures == alone.evaluate(session.model, math.inf).results
        session.undo()


class Growing(nn.Module):
    """Counts the batches of which it makes large numbers, and adds the count."""

    def __init__(self) -> None:
        super().__init__()
        self.linear, self.count = nn.Linear(4, 4), 0
        with torch.no_grad():
            self.linear.weight.copy_(torch.tensor([9.0, -8.9, 9.0, -8.9]).expand(4, 4))

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.linear(x)
        self.count += bool(out.abs().max() > 20)
        return out + self.count


def test_only_the_edited_block_writes_into_itself() -> None:
    """What it counted while it was probed does not show in its figures."""
    torch.manual_seed(0)
    model, x = Lists(Growing(), Growing()).eval(), 3 + torch.randn(40, 4) / 100
    examples, session = tensors(x, torch.randint(3, (40,))), surgery.open(model, (x[:2],))
    (row,) = session.sweep("sparsify", "layers.0.linear", ratio=0.5, examples=examples, device="cpu")
    session.apply(row.step)
    alone = Evaluator(model, examples=examples, device="cpu", tape_bytes=0)
    assert row.figures == alone.evaluate(session.model, math.inf).results
