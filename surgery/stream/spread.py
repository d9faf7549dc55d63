"""Files of a streamed save, each written by a worker of Ray, into a folder that all of its machines share.

What travels is the plan: recipes, tensors that are at hand, and what reductions came to that several files
need, which are made before the files. It is pickled by Ray between processes of one user. Weights are read
by whoever needs them, from the folders they lie in, and written where they belong; digests come back.
"""

from __future__ import annotations

import os
import pickle
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from surgery.cluster import said
from surgery.errors import SurgeryError
from surgery.lazy import Lazy, Reduction, nodes
from surgery.stream.layout import Shard
from surgery.stream.reading import Reader
from surgery.stream.worker import Plan, Setting, Work, done, reduced, written
from surgery.stream.writing import Noted, Progress

_WAIT_S = 0.2
"""How long a request to stop may go unseen."""
_END_S = 20.0
"""How long workers are waited for that were told to end."""


def spread(
    ray: Any,
    folder: Path,
    shards: Sequence[Shard],
    reader: Reader,
    progress: Progress,
    memory_bytes: int | None,
    device: torch.device,
    noted: Noted,
) -> dict[str, str]:
    """Writes the files by workers of `ray`, connected; gives the digests of their tensors.

    Each file is a task, which takes `memory_bytes` at a time, and as many processors as leave none idle; on
    CUDA a GPU besides. `noted` hears of each that is whole and on the disk. Raises what a worker raises, and
    SurgeryError where one computes other bits, or sees other files than this process does.
    """
    for shard in shards:
        for span in shard.spans:
            reader.note(span.lazy)
    levels = _levels(shards)
    reductions = tuple(node for level in levels for node in level)
    setting = Setting.now(device.type)
    plan = Plan(
        folder, tuple(shards), reductions, reader.stamps, memory_bytes, device.type, os.getcwd(), setting
    )
    crew = _Crew(ray, device.type, progress.tell)
    made: dict[int, Tensor] = {}
    for level in levels:
        places = range(len(made), len(made) + len(level))
        crew.run(reduced, replace(plan, made=dict(made)), places, crew.processors(0), made.__setitem__)
    digests: dict[str, str] = {}

    def whole(place: int, found: dict[str, str]) -> None:
        shard = plan.shards[place]
        _refuse_absent(folder, shard)
        noted(shard.file, found)
        digests.update(found)
        progress.add(shard.tensor_bytes)

    if shards:
        processors = crew.processors(len(shards))
        crew.run(written, replace(plan, made=made), range(len(shards)), processors, whole)
    return digests


class _Crew:
    """The workers of a cluster."""

    def __init__(self, ray: Any, device: str, told: Callable[[], None]) -> None:
        self.ray, self.told, self.gpus = ray, told, int(device == "cuda")
        nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
        self.nodes = [(int(node.get("CPU", 0)), int(node.get("GPU", 0))) for node in nodes]
        if not self._room(1):
            raise SurgeryError(
                "Ray's cluster has no machine for this", expected="CPU and GPU" if self.gpus else "CPU"
            )

    def processors(self, files: int) -> int:
        """How many one of so many files gets, so that no other waits for it; at least one."""
        if not files:
            return 1
        wanted = min(files, self._room(1))
        most = max(cpus for cpus, _ in self.nodes)
        return next(count for count in range(most, 0, -1) if self._room(count) >= wanted)

    def run(
        self,
        work: Work,
        plan: Plan,
        places: Iterable[int],
        processors: int,
        heard: Callable[[int, Any], None],
    ) -> None:
        """Has the work done for each of the places; `heard` is told what came of each as it comes."""
        parcel = self.ray.put(pickle.dumps(plan))
        task = self.ray.remote(done).options(
            num_cpus=processors, num_gpus=self.gpus, scheduling_strategy="SPREAD"
        )
        running = {task.remote(parcel, work.__name__, place, processors): place for place in places}
        try:
            self.told()
            while running:
                ready, _ = self.ray.wait(list(running), timeout=_WAIT_S)
                for reference in ready:
                    heard(running.pop(reference), self._answer(reference))
                self.told()
        finally:
            self._end(list(running))

    def _answer(self, reference: Any) -> Any:
        try:
            found = self.ray.get(reference)
        except self.ray.exceptions.RayError as error:
            raise SurgeryError(
                f"a worker of Ray failed: {said(error)}", hint="the same without Ray"
            ) from error
        if isinstance(found, Exception):
            raise found
        return found

    def _end(self, references: list[Any]) -> None:
        """Nobody writes any more."""
        for reference in references:
            self.ray.cancel(reference, force=True)
        if references:
            self.ray.wait(references, num_returns=len(references), timeout=_END_S)

    def _room(self, processors: int) -> int:
        """How many files can be written at a time with so many processors each."""
        counts = [(cpus // processors, gpus) for cpus, gpus in self.nodes]
        return sum(min(pair) if self.gpus else pair[0] for pair in counts)


def _levels(shards: Iterable[Shard]) -> list[list[Reduction]]:
    """The reductions that several files need; each needs of the others only such as are in lists before."""
    files: Counter[Reduction] = Counter()
    for shard in shards:
        files.update(node for node in nodes(span.lazy for span in shard.spans) if isinstance(node, Reduction))
    shared = [node for node, count in files.items() if count > 1]
    counted, heights = set[Lazy](shared), dict[Lazy, int]()

    def height(node: Lazy) -> int:
        if node not in heights:
            heights[node] = max(map(height, node.inputs), default=0) + (node in counted)
        return heights[node]

    found: dict[int, list[Reduction]] = {}
    for node in shared:
        found.setdefault(height(node), []).append(node)
    return [found[key] for key in sorted(found)]


def _refuse_absent(folder: Path, shard: Shard) -> None:
    """SurgeryError where what a worker wrote is not to be seen from here."""
    file = folder / shard.file
    if not file.is_file() or file.stat().st_size != shard.size_bytes:
        raise SurgeryError(
            "was written by a worker of Ray and is not here", path=str(file), hint="a folder that all share"
        )
