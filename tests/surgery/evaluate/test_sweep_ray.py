"""Sweeps on workers of Ray find what they find without, row for row, and leave no process behind."""

from __future__ import annotations

import math
import os
import sys
import threading
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch
from torch import Tensor, nn

import surgery
from surgery import SurgeryError
from surgery.evaluate import Stopped, token_windows
from surgery.evaluate.data import tensors
from surgery.evaluate.data.examples import Batch
from surgery.evaluate.sweep import SweepReport
from surgery.evaluate.sweep.parcel import packed, unpacked
from tests.surgery.evaluate.conftest import decoder, tokens
from tests.surgery.ray_cluster import patiently
from tests.zoo import ATLAS

EXAMPLES = token_windows(tokens(24))
BLOCKS = 4


@pytest.fixture
def session() -> surgery.Session:
    """Four blocks of width 32."""
    return surgery.open(decoder(blocks=BLOCKS).eval())


def listening() -> set[str]:
    """The addresses at which this process and those below it listen."""
    here = psutil.Process()
    found = set()
    for process in (here, *here.children(recursive=True)):
        connections = process.net_connections(kind="inet")
        found |= {each.laddr.ip for each in connections if each.status == psutil.CONN_LISTEN}
    return found


# Before any with the fixture `cluster`: this one starts a Ray of its own, and a process has but one.
def test_a_sweep_starts_ray_on_loopback_and_ends_it(
    session: surgery.Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing listens elsewhere and nothing is left; a sweep that was stopped goes on without Ray."""
    import ray

    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    before = set[int]()
    stop, heard, file = threading.Event(), set[str](), tmp_path / "sweep.json"

    def stopping(fraction: float, label: str) -> None:
        heard.update(listening())
        stop.set()

    sweep: dict[str, Any] = {"examples": EXAMPLES, "budget_s": 0, "resume": file, "device": "cpu"}

    def swept() -> SweepReport:
        before.update(process.pid for process in psutil.Process().children(recursive=True))
        return session.sweep("remove", "model.layers[*]", ray=True, progress=stopping, stop=stop, **sweep)

    first = patiently(swept)
    assert first.stopped and 0 < len(first) < BLOCKS
    assert heard and {address.removeprefix("::ffff:") for address in heard} == {"127.0.0.1"}
    assert not ray.is_initialized()
    left = [each for each in psutil.Process().children(recursive=True) if each.pid not in before]
    gone, alive = psutil.wait_procs(left, timeout=10)
    assert not alive, (gone, alive)
    told: list[float] = []
    whole = session.sweep(
        "remove", "model.layers[*]", exact=True, progress=lambda part, label: told.append(part), **sweep
    )
    assert told == sorted(told) and len(first) / BLOCKS < told[0] and told[-1] == 1
    del sweep["resume"]
    assert whole.rows == session.sweep("remove", "model.layers[*]", exact=True, **sweep).rows


def nats(model: nn.Module, batch: Batch) -> Tensor:
    """A measure of the user's: the mean surprise of each window."""
    ids = batch.inputs["input_ids"]
    logits = model(ids, use_cache=False).logits[:, :-1]
    return nn.functional.cross_entropy(logits.transpose(1, 2), ids[:, 1:], reduction="none").mean(1)


def test_rows_are_those_of_a_sweep_without_ray(cluster: Any, session: surgery.Session) -> None:
    """Steps, figures and intervals, from a state that was edited; the user's Ray goes on."""
    session.tie("model.layers.0.mlp", "model.layers.1.mlp")
    sweep: dict[str, Any] = {
        "examples": EXAMPLES,
        "budget_s": math.inf,
        "device": "cpu",
        "tasks": ["perplexity", "fidelity", nats],
    }
    told: list[str] = []
    alone = session.sweep("remove", "model.layers[*]", exact=True, **sweep)
    spread = session.sweep(
        "remove", "model.layers[*]", ray=True, progress=lambda _, label: told.append(label), **sweep
    )
    assert spread.rows == alone.rows
    assert (spread.by, spread.examples, spread.equal) == (alone.by, alone.examples, True)
    assert [row.step for row in spread.measured] and all(row.figures[0].interval for row in spread)
    assert told == [f"{number} of {BLOCKS} edits" for number in range(1, BLOCKS + 1)]
    assert "of Ray with 1 thread each" in str(spread)
    assert cluster.is_initialized()


def deadly(model: nn.Module, batch: Batch) -> Tensor:
    """Ends the process of a worker where block 0 was edited; fails where block 1 was."""
    edited = [bool((block.mlp.up_proj.weight == 0).any()) for block in model.model.layers]  # type: ignore
    if edited[0]:
        os._exit(7)
    if edited[1]:
        raise ValueError("not this one")
    return nats(model, batch)


def test_a_candidate_that_ends_its_worker_is_refused(cluster: Any, session: surgery.Session) -> None:
    """Its row has the reason and no figure; the others are measured as ever."""
    sweep: dict[str, Any] = {"examples": EXAMPLES, "budget_s": 0, "device": "cpu", "ratio": 0.5}
    where = "model.layers[*].mlp.up_proj"
    found = session.sweep("sparsify", where, ray=True, tasks=[deadly], **sweep)
    alone = session.sweep("sparsify", where, exact=True, tasks=[nats], **sweep)
    values = {row.step: row.value("nats") for row in alone}
    assert {row.step: row.value("deadly") for row in found.measured} == {
        row.step: values[row.step] for row in found.measured
    }
    refused = {str(row.step): row.refused for row in found if row.refused is not None}
    assert len(found) == BLOCKS and len(refused) == 2
    first, second = (
        next(why for step, why in refused.items() if f"layers.{number}." in step) for number in (0, 1)
    )
    assert "failed at it" in first and "not this one" in second


class Drawing(nn.Module):
    """Draws at random even in evaluation mode."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(4, 4), nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.last(self.first(x) * torch.rand(1))
        return out


def test_workers_that_compute_otherwise_do_not_work(cluster: Any) -> None:
    """Refused before any figure, as where a worker's model answers otherwise."""
    session = surgery.open(Drawing().eval(), (torch.ones(2, 4),))
    examples = tensors(torch.randn(20, 4, generator=torch.Generator().manual_seed(0)))
    with pytest.raises(SurgeryError, match="gets another answer"):
        session.sweep("sparsify", "first", ray=True, examples=examples, budget_s=0, device="cpu", ratio=0.5)


def test_another_address_is_refused(cluster: Any, session: surgery.Session) -> None:
    """Where Ray is connected already it is not connected elsewhere."""
    with pytest.raises(SurgeryError, match="connected to another cluster"):
        session.sweep("remove", "model.layers[*]", examples=EXAMPLES, ray="10.0.0.1:6379", budget_s=0)


def test_stopping_at_once_measures_nothing(cluster: Any, session: surgery.Session) -> None:
    """Stopped, as without Ray."""
    stop = threading.Event()
    stop.set()
    with pytest.raises(Stopped):
        session.sweep("remove", "model.layers[*]", examples=EXAMPLES, ray=True, stop=stop)


def test_without_ray_the_extra_is_named(session: surgery.Session, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error says how to install it."""
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(SurgeryError, match=r"pip install 'model-surgery\[ray\]'"):
        session.sweep("remove", "model.layers[*]", examples=EXAMPLES, ray=True)


@pytest.mark.parametrize("name", ["tied_head", "llama", "mixtral", "siamese"])
def test_a_parcel_holds_what_was_packed(name: str) -> None:
    """The same values, types and ties, on memory that the parcel holds once."""
    model, _ = ATLAS[name]()
    parcel = packed(model)
    found = unpacked(parcel)
    ours, theirs = (dict(each.named_parameters(remove_duplicate=False)) for each in (model, found))
    assert list(ours) == list(theirs)
    assert all(torch.equal(ours[path], theirs[path]) for path in ours)
    for one in ours:
        assert [other for other in ours if ours[other] is ours[one]] == [
            other for other in ours if theirs[other] is theirs[one]
        ]
    unique = {tensor.data_ptr(): tensor.nbytes for tensor in (*model.parameters(), *model.buffers())}
    assert sum(len(held) for held in parcel.storages) >= sum(unique.values())
    assert len(parcel.structure) < 200_000


def test_views_of_one_memory_stay_views_of_one() -> None:
    """Also of another shape and type."""
    held = torch.arange(12.0)
    one, two, three = unpacked(packed((held.view(3, 4), held[2:5], held.view(torch.int32)[6:])))
    assert torch.equal(two, held[2:5]) and two.data_ptr() == one.data_ptr() + 8
    assert three.dtype == torch.int32 and three.data_ptr() == one.data_ptr() + 24


def test_what_cannot_be_pickled_is_refused(session: surgery.Session) -> None:
    """A sentence, and not pickle's error."""
    with pytest.raises(SurgeryError, match="cannot be sent to Ray's workers"):
        packed((session.model, threading.Lock()))
