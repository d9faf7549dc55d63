"""What is stopped ends before the next block, and what was whole by then is kept."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import surgery
from surgery.evaluate import Stopped
from surgery.evaluate.data import tensors

BLOCKS = 5


class Counting(nn.Module):
    """A block that counts the calls of all, and asks to stop at one of them."""

    calls, last, stop = 0, math.inf, threading.Event()

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(6, 6)

    def forward(self, x: Tensor) -> Tensor:
        Counting.calls += 1
        if Counting.calls == Counting.last:
            Counting.stop.set()
        out: Tensor = self.linear(x)
        return out


class Chain(nn.Module):
    """Blocks that pass one state on, and a head."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layers = nn.ModuleList(Counting() for _ in range(BLOCKS))
        self.head = nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            x = layer(x)
        out: Tensor = self.head(x)
        return out


def session() -> surgery.Session:
    """The chain, with one block cut, so that two models differ."""
    found = surgery.open(Chain().eval(), (torch.ones(2, 6),))
    found.remove("layers.2")
    return found


def examples() -> Any:
    """Two hundred of them, four batches."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(200, 6, generator=generator)
    return tensors(x, torch.randint(3, (200,), generator=generator))


GIVEN: dict[str, Any] = {"budget_s": math.inf, "device": "cpu"}
WAYS: dict[str, Callable[[surgery.Session, threading.Event], Any]] = {
    "evaluation": lambda s, stop: s.evaluate(examples=examples(), stop=stop, **GIVEN),
    "sweep": lambda s, stop: s.sweep("remove", "layers[*]", examples=examples(), stop=stop, **GIVEN),
    "sweep, exact": lambda s, stop: s.sweep(
        "remove", "layers[*]", examples=examples(), stop=stop, exact=True, **GIVEN
    ),
    "speed": lambda s, stop: s.speed(budget_s=0, device="cpu", stop=stop),
}


@pytest.mark.parametrize("way", WAYS)
def test_what_is_stopped_runs_no_further_block(way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Wherever in it that is asked; only a forward that is timed goes on to its end."""
    monkeypatch.setattr(Counting, "last", math.inf)
    found, stop = session(), threading.Event()
    monkeypatch.setattr(Counting, "calls", 0)
    WAYS[way](found, stop)
    calls = Counting.calls
    for last in sorted({1, 2, 7, calls // 3, calls // 2, 3 * calls // 4, calls - 2 * BLOCKS}):
        found, stop = session(), threading.Event()
        for name, value in {"calls": 0, "last": last, "stop": stop}.items():
            monkeypatch.setattr(Counting, name, value)
        try:
            report = WAYS[way](found, stop)
        except Stopped:
            pass
        else:
            assert report.stopped and 0 < len(report) < BLOCKS - 1
        assert stop.is_set()
        assert Counting.calls - last < (BLOCKS if way == "speed" else 1), last


@pytest.mark.parametrize("kept", [1, 2, 3])
def test_every_candidate_that_was_finished_survives(kept: int) -> None:
    """Of a sweep that runs each by itself, also within a group."""
    whole = WAYS["sweep, exact"](session(), threading.Event())
    stop = threading.Event()

    def progress(fraction: float, label: str) -> None:
        if fraction > (kept + 0.3) / (BLOCKS - 1):
            stop.set()

    found = session().sweep(
        "remove", "layers[*]", examples=examples(), stop=stop, exact=True, progress=progress, **GIVEN
    )
    assert found.stopped and len(found) == kept
    assert all(row in whole.rows for row in found)


@pytest.mark.parametrize("bytes_kept", [0, 100_000])
def test_a_candidate_at_a_time_costs_what_all_together_cost(
    bytes_kept: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However much of what the base gave is kept."""
    monkeypatch.setattr("surgery.evaluate.sweep.sweeper.SHARED_BYTES", bytes_kept)
    found = WAYS["sweep, exact"](session(), threading.Event())
    monkeypatch.setattr("surgery.evaluate.sweep.sweeper.Sweeper._has_room", lambda *_: False)
    together = WAYS["sweep, exact"](session(), threading.Event())
    assert found.rows == together.rows


@pytest.mark.parametrize("exact", [False, True])
def test_candidates_that_go_through_the_batches_together_survive_the_last(
    exact: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the tape has no room for all, or they share a pass: those whole when it was stopped."""
    monkeypatch.setattr("surgery.evaluate.sweep.sweeper.Sweeper._has_room", lambda *_: False)
    whole, stop = WAYS["sweep"](session(), threading.Event()), threading.Event()

    def progress(fraction: float, label: str) -> None:
        if fraction > 1 - 2.5 / 4 / (BLOCKS - 1):
            stop.set()

    found = session().sweep(
        "remove", "layers[*]", examples=examples(), stop=stop, exact=exact, progress=progress, **GIVEN
    )
    assert found.stopped and len(found) == 2
    assert {row.step: row.figures for row in found}.items() <= {r.step: r.figures for r in whole}.items()


def test_stopped_after_a_refusal_alone_there_is_no_report() -> None:
    """It is not said that no edit could be measured: the others were not tried."""
    stop = threading.Event()
    with pytest.raises(Stopped):
        session().sweep(
            "remove",
            "head, layers[*]",
            examples=examples(),
            stop=stop,
            progress=lambda *_: stop.set(),
            **GIVEN,
        )
