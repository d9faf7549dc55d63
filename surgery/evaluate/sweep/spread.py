"""Candidates spread over workers of Ray, each a process with a model and a bench of its own.

What travels, once: the model as it is now, its tensors apart in Ray's object store, of which the workers of a
machine read one copy; its example inputs, tokenizer and the session's batches; the examples and the tasks. It
is pickled by Ray between processes of one user: the module objects that the caller opened, never a file of a
checkpoint. After that only steps go out, and only rows come back.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Generator, Sequence
from typing import Any

import torch

from surgery.cluster import said
from surgery.errors import SurgeryError
from surgery.evaluate.bench import Bench
from surgery.evaluate.measure import Meter
from surgery.evaluate.sweep.parcel import packed
from surgery.evaluate.sweep.report import Row
from surgery.evaluate.sweep.station import Orders, Setting, Station, seen
from surgery.evaluate.sweep.sweeper import Make, Told
from surgery.evaluate.tape import Place
from surgery.operation import Operation

_WAIT_S = 0.1
"""How long a request to stop may go unseen."""


class Spread:
    """Runs the candidates that `make` gives on workers of `ray`, connected; their rows come as they are done.

    A worker computes with as many threads as this process, since other numbers give other bits, and claims
    so many CPUs, and one GPU where `bench` measures on CUDA. Before it may measure, it must give for the
    original what this process gives. One that dies is started again by Ray, its candidate tried once more.
    """

    def __init__(self, ray: Any, bench: Bench, make: Make) -> None:
        if bench.device.type not in ("cpu", "cuda"):
            raise SurgeryError(
                "Ray's workers measure on a CPU or with CUDA", got=bench.device, hint='`device="cpu"`'
            )
        self.ray, self.bench, self.make = ray, bench, make
        self.equal = True
        self.writes = False
        self.lost: list[str] = []
        self.used = 0
        nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
        self._cpus = min(torch.get_num_threads(), max(int(node.get("CPU", 0)) for node in nodes))
        kind, claimed = ("GPU", 1) if bench.device.type == "cuda" else ("CPU", self._cpus)
        self._room = [int(node.get(kind, 0)) // max(1, claimed) for node in nodes]
        if not sum(self._room):
            raise SurgeryError(f"Ray's cluster has no {kind}", hint="`device`, or another cluster")

    def most(self, steps: int) -> int:
        """How many of so many steps a worker measures, the one that measures most."""
        return math.ceil(steps / sum(self._room))

    @property
    def note(self) -> str:
        """A sentence for the report, by how many it was measured and how; empty where nothing was."""
        if not self.used:
            return ""
        threads = torch.get_num_threads()
        who = f"{self.used} worker{'' if self.used == 1 else 's'} of Ray"
        found = f"Measured by {who} with {threads} thread{'' if threads == 1 else 's'} each"
        found += "." if self.equal else ", some of which round otherwise than this process."
        return " ".join([found, *(f"One was left out: {reason}" for reason in self.lost)])

    def rows(
        self, steps: Sequence[Operation], places: Sequence[Place], meter: Meter, told: Told
    ) -> Generator[tuple[Operation, Row]]:
        """A step and its row, as they come. Raises SurgeryError where no worker can work."""
        if not steps:
            return
        count = min(len(steps), sum(self._room))
        parcel = self.ray.put(packed(self._orders(places, meter)))
        claim = {"num_cpus": self._cpus, "num_gpus": int(self.bench.device.type == "cuda")}
        again = {"max_restarts": -1, "max_task_retries": 1}
        actor = self.ray.remote(Station).options(**claim, **again)
        stations = [actor.remote() for _ in range(count)]
        try:
            yield from self._handed_out(stations, parcel, deque(steps), meter)
        finally:
            for station in stations:
                self.ray.kill(station)

    def _handed_out(
        self, stations: list[Any], parcel: Any, waiting: deque[Operation], meter: Meter
    ) -> Generator[tuple[Operation, Row]]:
        running: dict[Any, tuple[Any, Operation | None]] = {
            station.ready.remote(parcel): (station, None) for station in stations
        }
        idle: list[Any] = []
        busy = 0
        while waiting or busy:
            if not running:
                raise SurgeryError(f"no worker of Ray can work: {self.lost[0]}")
            done, _ = self.ray.wait(list(running), timeout=_WAIT_S)
            meter.check()
            for reference in done:
                station, step = running.pop(reference)
                row: Row | None = None
                if step is None:
                    problem = self._welcomed(reference)
                else:
                    busy -= 1
                    problem, row = self._come(reference, step)
                if problem is None:
                    idle.append(station)
                else:
                    self.lost.append(problem)
                if row is not None and step is not None:
                    yield step, row
                elif step is not None:
                    waiting.appendleft(step)
            while idle and waiting:
                station, step = idle.pop(), waiting.popleft()
                running[station.row.remote(parcel, step)] = station, step
                busy += 1

    def _welcomed(self, reference: Any) -> str | None:
        """Why a worker cannot work; None if it can."""
        try:
            problem, equal = self.ray.get(reference)
        except self.ray.exceptions.RayError as error:
            return f"its process failed: {said(error)}."
        if problem is None:
            self.used, self.equal = self.used + 1, self.equal and equal
        return None if problem is None else str(problem)

    def _come(self, reference: Any, step: Operation) -> tuple[str | None, Row | None]:
        """Why a worker cannot work, or the row of its step: refused where the worker failed or died at it."""
        try:
            problem, row = self.ray.get(reference)
        except self.ray.exceptions.RayError as error:
            before = sum(parameter.numel() for parameter in self.bench.original.parameters())
            return None, Row(step, (before, before), refused=f"A worker of Ray failed at it: {said(error)}")
        return problem, row

    def _orders(self, places: Sequence[Place], meter: Meter) -> Orders:
        bench = self.bench
        return Orders(
            base=bench.original,
            make=self.make,
            examples=bench.examples,
            tasks=meter.tasks,
            places=tuple(places),
            device=bench.device.type,
            seed=bench.seed,
            exact=bench.exact,
            sharing=1 if bench.device.type == "cuda" else max(self._room),
            setting=Setting.now(),
            seen=seen(bench, meter),
        )
