"""Tensors that only the history keeps, within a limit: from an accelerator to memory, from memory to a file.

A Parameter that moves stays the object it is; only what it is over changes. What lies in a file is mapped
into memory, so whoever still holds such a Parameter reads the right values from it. The file has no name
any more once it is mapped: it goes with the last Parameter over it, however the process ends.
"""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.utils.weak import WeakIdKeyDictionary

from graph.tree import walk
from graph.units import short
from surgery.copies import settled
from surgery.errors import SurgeryWarning

_APART = 64
"""Bytes that the start of a tensor in the file is a multiple of."""
_PLAIN = frozenset({type(None), bool, int, float, str})  # most of what modules hold
_LEADING = (torch.Tensor, nn.Module, dict, list, tuple, set)
_LONGEST = 4096
"""Items of a plain container that are looked at: a list of more is data, not modules."""


@dataclass(frozen=True)
class Kept:
    """Bytes that only the history keeps, by where they lie."""

    accelerator_bytes: int = 0
    memory_bytes: int = 0
    file_bytes: int = 0

    @property
    def size_bytes(self) -> int:
        """All of them."""
        return self.accelerator_bytes + self.memory_bytes + self.file_bytes


@dataclass(frozen=True)
class Home:
    """Where a Parameter that was moved belongs, and whether it lies in a file now."""

    device: torch.device
    filed: bool


@dataclass(frozen=True)
class Memory:
    """One storage that only the history keeps, and the tensors over it."""

    tensors: list[torch.Tensor]
    device: torch.device
    size_bytes: int
    filed: bool

    @property
    def movable(self) -> bool:
        """Whether it is all of one plain Parameter: what several tensors share stays where it is."""
        first = self.tensors[0]
        return (
            len(self.tensors) == 1
            and not self.filed
            and type(first) is nn.Parameter
            and first.grad is None
            and first.is_contiguous()
            and first.nbytes == self.size_bytes
            and not (first.is_inference() or first.is_conj() or first.is_neg())
        )


class Keeper:
    """Moves what only the history keeps when it is more than `limit_bytes`, and brings it back.

    The limit holds for memory and for each accelerator, of which at most a quarter is used in any case.
    """

    def __init__(self) -> None:
        self.limit_bytes = quarter_of_memory()
        self._away = WeakIdKeyDictionary()
        self._model_bytes = self._most_bytes = 0

    def kept(self, held: Iterable[object], others: Iterable[object]) -> Kept:
        """How much is reached from `held` and not from `others`."""
        found = list(self._memories(held, others))
        filed = sum(item.size_bytes for item in found if item.filed)
        memory = sum(item.size_bytes for item in found if _in_memory(item.device) and not item.filed)
        return Kept(sum(item.size_bytes for item in found) - filed - memory, memory, filed)

    def follow(self, model: nn.Module, held: Iterable[object], others: Sequence[object]) -> None:
        """`settle`, after `model` changed, if there can be more than the limit: a search makes many steps."""
        parameters = parameters_of(model)
        before, self._model_bytes = self._model_bytes, sum(item.nbytes for item in parameters)
        self._most_bytes += before  # all of it, at most, is what only the history keeps now
        accelerators = {item.device for item in parameters if not _in_memory(item.device)}
        if self._most_bytes > min([self.limit_bytes, *map(_quarter_of, accelerators)]):
            self.settle(held, others)

    def settle(self, held: Iterable[object], others: Iterable[object]) -> None:
        """Moves what is reached from `held` and not from `others`, its end first, down to the limit.

        Where a file cannot be written, everything stays in memory, with a SurgeryWarning.
        """
        settled()  # what is being copied would seem to lie in one memory
        found = list(self._memories(held, others))
        self._most_bytes = sum(item.size_bytes for item in found if not item.filed)
        for device in dict.fromkeys(item.device for item in found if not _in_memory(item.device)):
            here = [item for item in found if item.device == device]
            for item in _beyond(here, min(self.limit_bytes, _quarter_of(device))):
                self._to_memory(item)
                found[found.index(item)] = Memory(item.tensors, torch.device("cpu"), item.size_bytes, False)
        here = [item for item in found if _in_memory(item.device) and not item.filed]
        self._to_file([item.tensors[0] for item in _beyond(here, self.limit_bytes)])

    def bring_back(self, model: nn.Module) -> None:
        """Every Parameter of `model` is on its device again, with the very bits it left with."""
        for parameter in parameters_of(model):
            home = self._away.get(parameter)
            if home is not None:
                data = parameter.data.clone() if home.filed else parameter.data
                parameter.data = data.to(home.device)
                del self._away[parameter]

    def _memories(self, held: Iterable[object], others: Iterable[object]) -> Iterator[Memory]:
        taken = {key for tensor in tensors_in(others) if (key := _memory_of(tensor))}
        found: dict[Any, list[torch.Tensor]] = {}
        for tensor in tensors_in(held):
            place = id(tensor) if self._is_filed(tensor) else _memory_of(tensor)
            if place and place not in taken:
                found.setdefault(place, []).append(tensor)
        for tensors in found.values():
            filed = self._is_filed(tensors[0])
            size = tensors[0].nbytes if filed else tensors[0].untyped_storage().nbytes()
            yield Memory(tensors, tensors[0].device, size, filed)

    def _is_filed(self, tensor: torch.Tensor) -> bool:
        home = self._away.get(tensor)
        return home is not None and home.filed

    def _to_memory(self, item: Memory) -> None:
        (parameter,) = item.tensors
        self._away[parameter] = Home(parameter.device, filed=False)
        parameter.data = parameter.data.to("cpu")

    def _to_file(self, parameters: Sequence[torch.Tensor]) -> None:
        if not parameters:
            return
        try:
            mapped = _mapped(parameters)
        except OSError as error:
            size = sum(parameter.nbytes for parameter in parameters)
            warnings.warn(
                f"the history keeps {short(size, 'B')} more in memory than its limit, since no file could be "
                f"written for it: {error.strerror or error}",
                SurgeryWarning,
                stacklevel=2,
            )
            return
        for parameter, data in zip(parameters, mapped, strict=True):
            home = self._away.get(parameter)
            self._away[parameter] = Home(home.device if home else parameter.device, filed=True)
            parameter.data = data


def parameters_of(model: nn.Module) -> list[nn.Parameter]:
    """The Parameters of a model, each once, however deep its tree."""
    found = (item for _, module in walk(model) for item in module._parameters.values() if item is not None)
    return list({id(item): item for item in found}.values())


def tensors_in(values: Iterable[object]) -> Iterator[torch.Tensor]:
    """Tensors, each once, in modules and plain containers, in those in these, and so on; the first first."""
    seen: set[int] = set()
    waiting: list[Iterator[object]] = [iter(values)]
    while waiting:
        for value in waiting[-1]:
            if type(value) in _PLAIN or not isinstance(value, _LEADING) or id(value) in seen:
                continue
            seen.add(id(value))
            if isinstance(value, torch.Tensor):
                yield value
            else:
                waiting.append(iter(_inside(value)))
                break
        else:
            waiting.pop()


def _inside(value: Any) -> list[object]:
    if isinstance(value, nn.Module):
        return list(value.__dict__.values())
    if len(value) > _LONGEST:
        return []
    return list(value.values() if isinstance(value, dict) else value)


def quarter_of_memory() -> int:
    """A quarter of the memory there is."""
    return memory_bytes() // 4


def memory_bytes() -> int:
    """The memory of this machine, or of the group of processes that it gives us, whichever is less."""
    sizes = [16 << 30]
    try:
        sizes = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
        sizes.append(int(Path("/sys/fs/cgroup/memory.max").read_text()))  # that of a container
    except (AttributeError, OSError, ValueError):  # no such file or system, or "max"
        pass
    return min(sizes)


def _quarter_of(device: torch.device) -> int:
    if device.type == "cuda":
        return int(torch.cuda.get_device_properties(device).total_memory) // 4
    return quarter_of_memory()  # the other accelerators share it, or do not say


def _beyond(found: Sequence[Memory], limit_bytes: int) -> Iterator[Memory]:
    """The last of `found` that can be moved, until the rest is within the limit."""
    size = sum(item.size_bytes for item in found)
    for item in reversed(found):
        if size <= limit_bytes:
            return
        if item.movable:
            size -= item.size_bytes
            yield item


def _in_memory(device: torch.device) -> bool:
    return device.type == "cpu"


def _memory_of(tensor: torch.Tensor) -> tuple[torch.device, int] | None:
    """What tells the storage of a tensor from others; None if it takes no memory, or does not say."""
    if tensor.is_meta or tensor.layout is not torch.strided:
        return None
    try:
        storage = tensor.untyped_storage()
        return (tensor.device, storage.data_ptr()) if storage.nbytes() else None
    except (NotImplementedError, RuntimeError):  # a wrapper of other tensors
        return None


def _mapped(tensors: Sequence[torch.Tensor]) -> list[torch.Tensor]:
    """Tensors like these over a file with their bytes; OSError if there is no room for it."""
    starts, size = [], 0
    for tensor in tensors:
        starts.append(size)
        size += -(-tensor.nbytes // _APART) * _APART
    with tempfile.TemporaryDirectory(prefix="surgery-history-", ignore_cleanup_errors=True) as folder:
        if shutil.disk_usage(folder).free < size:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        path = Path(folder, "tensors")
        with path.open("wb") as file:
            for start, tensor in zip(starts, tensors, strict=True):
                file.seek(start)
                file.write(_bytes_of(tensor).numpy().data)
            file.truncate(size)
        whole = torch.from_file(str(path), shared=False, size=size, dtype=torch.uint8)
    found = []
    for start, tensor in zip(starts, tensors, strict=True):
        found.append(whole[start : start + tensor.nbytes].view(tensor.dtype).view(tensor.shape))
    return found


def _bytes_of(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.detach().reshape(-1).view(torch.uint8)
