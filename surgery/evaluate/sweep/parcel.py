"""An object with the memory of its tensors beside it, to be sent to other processes.

The memory goes as arrays, which processes on one machine read where it lies in Ray's object store, so that
all of them hold one copy of a model. Tensors that share memory here share it there.
"""

from __future__ import annotations

import io
import pickle
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import UntypedStorage

from surgery.errors import SurgeryError


@dataclass(frozen=True)
class Parcel:
    """`structure`: the pickled object, its storages by number; `storages`: their bytes, (n,) uint8 each."""

    structure: bytes
    storages: tuple[NDArray[np.uint8], ...]


def packed(thing: Any) -> Parcel:
    """The object as a parcel. Raises SurgeryError, with the reason, where it cannot be pickled."""
    from ray import cloudpickle

    storages: list[NDArray[np.uint8]] = []
    numbers: dict[tuple[torch.device, int], int] = {}
    held: list[UntypedStorage] = []  # or memory that was let go of might be another's before the end

    class Pickler(cloudpickle.Pickler):
        def persistent_id(self, found: Any) -> tuple[int, torch.dtype, str] | None:
            if not isinstance(found, torch.storage.TypedStorage):
                return None
            memory = found._untyped_storage
            key = memory.device, memory.data_ptr()
            if not memory.nbytes() or key not in numbers:
                numbers[key] = len(storages)
                storages.append(_bytes_of(memory))
                held.append(memory)
            return numbers[key], found.dtype, memory.device.type

    structure = io.BytesIO()
    try:
        Pickler(structure, protocol=pickle.HIGHEST_PROTOCOL).dump(thing)
    except Exception as error:
        raise SurgeryError(
            f"the model and what it is measured on cannot be sent to Ray's workers: "
            f"{type(error).__name__}: {error}",
            hint="the sweep without Ray",
        ) from error
    return Parcel(structure.getvalue(), tuple(storages))


def unpacked(parcel: Parcel) -> Any:
    """The object that was packed, its tensors on the parcel's own memory, which is not to be written to."""
    memories: dict[tuple[int, str], UntypedStorage] = {}

    class Unpickler(pickle.Unpickler):
        def persistent_load(self, said: tuple[int, torch.dtype, str]) -> Any:
            number, dtype, device = said
            if (number, device) not in memories:
                memories[number, device] = _storage_of(parcel.storages[number], torch.device(device))
            return torch.storage.TypedStorage(
                wrap_storage=memories[number, device], dtype=dtype, _internal=True
            )

    return Unpickler(io.BytesIO(parcel.structure)).load()


def _bytes_of(memory: UntypedStorage) -> NDArray[np.uint8]:
    memory = memory if memory.device.type == "cpu" else memory.cpu()
    found: NDArray[np.uint8] = torch.empty(0, dtype=torch.uint8).set_(memory).numpy()
    return found


def _storage_of(held: NDArray[np.uint8], device: torch.device) -> UntypedStorage:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # torch says that it is read only, as it should be
        return torch.from_numpy(held).to(device).untyped_storage()
