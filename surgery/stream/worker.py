"""What a worker of Ray does of a streamed save: it writes a file, or makes a reduction that several need."""

from __future__ import annotations

import pickle
import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import chdir, contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from surgery.checkpoint.headers import Stamp
from surgery.errors import SurgeryError
from surgery.lazy import Recipe, Reduction, nodes
from surgery.recipes import FUNCTIONS, one_thread
from surgery.reductions import REDUCTIONS
from surgery.script import made_with
from surgery.stream.device import arithmetic_device
from surgery.stream.layout import Shard
from surgery.stream.reading import Reader
from surgery.stream.tiles import Maker
from surgery.stream.writing import Progress, write_shards


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
    setting: Setting
    made: Mapping[int, Tensor] = field(default_factory=dict)


@dataclass(frozen=True)
class Setting:
    """What equal bits hang on: `made_with` is compared, the rest is set."""

    made_with: dict[str, str]
    precision: str
    deterministic: bool

    @classmethod
    def now(cls, device: str) -> Setting:
        """That of this process."""
        deterministic = torch.are_deterministic_algorithms_enabled()
        return cls(made_with(device), torch.get_float32_matmul_precision(), deterministic)

    @contextmanager
    def applied(self, device: str) -> Iterator[None]:
        """Within, it is this process's. SurgeryError where what cannot be set is another."""
        before = Setting.now(device)
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


Work = Callable[[Plan, Reader, int, int], Any]
"""What a worker does of a plan: with files to read from, the place of what is asked for, and threads."""


def done(parcel: bytes, work: str, place: int, threads: int) -> Any:
    """In a worker: what comes of some work, or the error that is to be raised where it was asked for."""
    try:
        plan: Plan = pickle.loads(parcel)
        start = nullcontext() if all(file.is_absolute() for file in plan.stamps) else chdir(plan.start)
        with start, plan.setting.applied(plan.device), Reader() as reader, one_thread(), torch.no_grad():
            _refuse_unknown(plan)
            found = WORKS[work](plan, reader, place, threads)
            reader.refuse_changed()
            _refuse_others(plan, reader)
            return found
    except (SurgeryError, OSError) as error:
        return error


def written(plan: Plan, reader: Reader, place: int, threads: int) -> dict[str, str]:
    """Writes a file; the digests of its tensors."""
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


def reduced(plan: Plan, reader: Reader, place: int, threads: int) -> Tensor:
    """Makes a reduction."""
    return _maker(plan, reader).reduced(plan.reductions[place]).cpu()


WORKS: dict[str, Work] = {work.__name__: work for work in (written, reduced)}


def _maker(plan: Plan, reader: Reader) -> Maker:
    made = ((plan.reductions[place], tensor) for place, tensor in plan.made.items())
    return Maker(reader, arithmetic_device(plan.device), made)


def _refuse_unknown(plan: Plan) -> None:
    """SurgeryError for a function that is registered where the plan was made and not here."""
    below = nodes(span.lazy for shard in plan.shards for span in shard.spans)
    names = {node.function: None for node in below if isinstance(node, Recipe | Reduction)}
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
