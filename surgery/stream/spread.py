"""Files of a streamed save, each written by a worker of Ray, into a folder that all of its machines share.

What travels is the plan: recipes, tensors that are at hand, and what reductions came to that several files
need, which are made before the files. It is pickled by Ray between processes of one user. Weights are read
by whoever needs them, from the folders they lie in, and written where they belong; digests come back.
"""

from __future__ import annotations

import os
import pickle
import socket
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import chdir, contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import surgery.functions  # noqa: F401
from surgery.checkpoint.headers import Stamp
from surgery.cluster import said
from surgery.errors import SurgeryError
from surgery.lazy import Lazy, Recipe, Reduction
from surgery.recipes import FUNCTIONS, one_thread
from surgery.reductions import REDUCTIONS
from surgery.script import made_with
from surgery.stream.device import arithmetic_device
from surgery.stream.layout import Shard
from surgery.stream.reading import Reader
from surgery.stream.tiles import Maker
from surgery.stream.writing import Noted, Progress, write_shards

_WAIT_S = 0.2
"""How long a request to stop may go unseen."""
_END_S = 20.0
"""How long workers are waited for that were told to end."""


@dataclass(frozen=True)
class Plan:
    """What workers are told: `made` is what those of the reductions came to that are made, by their places.

    `stamps` are what the files were here that are read, `setting` is what bits hang on in this process, and
    relative paths start in `start`.
    """

    folder: Path
    shards: tuple[Shard, ...]
    reductions: tuple[Reduction, ...]
    stamps: Mapping[Path, Stamp]
    memory_bytes: int | None
    device: str
    start: str
    setting: _Setting
    made: Mapping[int, Tensor] = field(default_factory=dict)


@dataclass(frozen=True)
class _Setting:
    """What equal bits hang on: `made_with` is compared, the rest is set."""

    made_with: dict[str, str]
    precision: str
    deterministic: bool

    @classmethod
    def now(cls, device: str) -> _Setting:
        """That of this process."""
        deterministic = torch.are_deterministic_algorithms_enabled()
        return cls(made_with(device), torch.get_float32_matmul_precision(), deterministic)

    @contextmanager
    def applied(self, device: str) -> Iterator[None]:
        """Within, it is this process's. SurgeryError where what cannot be set is another."""
        before = _Setting.now(device)
        for key, value in self.made_with.items():
            if before.made_with[key] != value:
                raise SurgeryError(
                    f"a worker of Ray on {socket.gethostname()} would compute other bits: {key} is "
                    f"{before.made_with[key]} there and {value} here",
                    hint="the same versions and processors on all machines, or the same without Ray",
                )
        self._set()
        try:
            yield
        finally:
            before._set()

    def _set(self) -> None:
        torch.set_float32_matmul_precision(self.precision)
        torch.use_deterministic_algorithms(self.deterministic)


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
    setting = _Setting.now(device.type)
    plan = Plan(
        folder, tuple(shards), reductions, reader.stamps, memory_bytes, device.type, os.getcwd(), setting
    )
    crew = _Crew(ray, device.type, progress.tell)
    made: dict[int, Tensor] = {}
    for level in levels:
        places = range(len(made), len(made) + len(level))
        crew.run(_reduced, replace(plan, made=dict(made)), places, crew.processors(0), made.__setitem__)
    digests: dict[str, str] = {}

    def whole(place: int, found: dict[str, str]) -> None:
        shard = plan.shards[place]
        _refuse_absent(folder, shard)
        noted(shard.file, found)
        digests.update(found)
        progress.add(shard.tensor_bytes)

    if shards:
        processors = crew.processors(len(shards))
        crew.run(_written, replace(plan, made=made), range(len(shards)), processors, whole)
    return digests


Work = Callable[[Plan, Reader, int, int], Any]
"""What a worker does of a plan: with files to read from, the place of what is asked for, and threads."""


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
        task = self.ray.remote(_done).options(
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


def _done(parcel: bytes, work: str, place: int, threads: int) -> Any:
    """In a worker: what comes of some work, or the error that is to be raised where it was asked for."""
    try:
        plan: Plan = pickle.loads(parcel)
        start = nullcontext() if all(file.is_absolute() for file in plan.stamps) else chdir(plan.start)
        with start, plan.setting.applied(plan.device), Reader() as reader, one_thread(), torch.no_grad():
            _refuse_unknown(plan)
            found = _WORKS[work](plan, reader, place, threads)
            reader.refuse_changed()
            _refuse_others(plan, reader)
            return found
    except (SurgeryError, OSError) as error:
        return error


def _written(plan: Plan, reader: Reader, place: int, threads: int) -> dict[str, str]:
    shard = plan.shards[place]
    if not plan.folder.is_dir():
        raise SurgeryError(
            f"is not there for a worker of Ray on {socket.gethostname()}",
            path=str(plan.folder),
            hint="a folder that all machines share",
        )
    (plan.folder / shard.file).unlink(missing_ok=True)  # a worker may have died at it before

    def noted(file: str, digests: Mapping[str, str]) -> None:
        """It is on the disk: the others need no more."""

    progress = Progress(shard.tensor_bytes, None)
    return write_shards(
        plan.folder, [shard], _maker(plan, reader), progress, plan.memory_bytes, noted, threads
    )


def _reduced(plan: Plan, reader: Reader, place: int, threads: int) -> Tensor:
    return _maker(plan, reader).reduced(plan.reductions[place]).cpu()


_WORKS: dict[str, Work] = {work.__name__: work for work in (_written, _reduced)}


def _maker(plan: Plan, reader: Reader) -> Maker:
    made = ((plan.reductions[place], tensor) for place, tensor in plan.made.items())
    return Maker(reader, arithmetic_device(plan.device), made)


def _levels(shards: Iterable[Shard]) -> list[list[Reduction]]:
    """The reductions that several files need; each needs of the others only such as are in lists before."""
    files: Counter[Reduction] = Counter()
    for shard in shards:
        files.update(
            node for node in _nodes(span.lazy for span in shard.spans) if isinstance(node, Reduction)
        )
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


def _nodes(lazies: Iterable[Lazy]) -> list[Lazy]:
    """They and all that they are made from, each once."""
    waiting = list(dict.fromkeys(lazies))
    seen = set(waiting)
    for node in waiting:  # grows while it is read
        further = [item for item in dict.fromkeys(node.inputs) if item not in seen]
        seen.update(further)
        waiting += further
    return waiting


def _refuse_unknown(plan: Plan) -> None:
    """SurgeryError for a function that is registered where the plan was made and not here."""
    nodes = _nodes(span.lazy for shard in plan.shards for span in shard.spans)
    names = {node.function: None for node in nodes if isinstance(node, Recipe | Reduction)}
    if names.keys() <= FUNCTIONS.keys() | REDUCTIONS.keys():
        return
    from surgery.registry import operations

    operations()  # what installed packages bring is registered with them
    for name in names:
        if name not in FUNCTIONS and name not in REDUCTIONS:
            raise SurgeryError(
                f"a worker of Ray on {socket.gethostname()} does not know this function",
                got=name,
                hint="the package that brings it, installed on all machines",
            )


def _refuse_others(plan: Plan, reader: Reader) -> None:
    """SurgeryError for a file that is another one for this worker."""
    for file, stamp in reader.stamps.items():
        if plan.stamps.get(file) != stamp:
            raise SurgeryError(
                f"is not the same file for a worker of Ray on {socket.gethostname()}",
                path=str(file),
                hint="a folder that all machines share",
            )


def _refuse_absent(folder: Path, shard: Shard) -> None:
    """SurgeryError where what a worker wrote is not to be seen from here."""
    file = folder / shard.file
    if not file.is_file() or file.stat().st_size != shard.size_bytes:
        raise SurgeryError(
            "was written by a worker of Ray and is not here", path=str(file), hint="a folder that all share"
        )
