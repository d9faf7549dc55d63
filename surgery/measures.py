"""What a step had to find out from data, frozen into it, so that a replay needs no data.

A plan gives shapes and recipes and reads no value. An operation that depends on values, such as statistics of
activations, finds them in `measure`, which runs once, before the step is applied; the tensors it returns are
part of the step from then on. A script says the few numbers of a small result itself. Those of a large one
lie in its sidecar, a safetensors file beside it, under their digest.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import torch
from safetensors import SafetensorError
from safetensors.torch import save_file

from surgery import fence
from surgery.errors import SurgeryError
from surgery.fingerprint import combined, tensor_digest
from surgery.lazy import Known
from surgery.stream.reading import Reader

SMALL = 64
"""Numbers that a script says itself."""
COUNTS = 1 << 20
"""Whole numbers that it says: shapes hang on these, and who loads a folder has no sidecar at hand."""


@dataclass(frozen=True)
class Measured:
    """Tensors by name, known by their digest; `tensors` is None where they are not at hand."""

    digest: str
    tensors: Mapping[str, torch.Tensor] | None = field(default=None, compare=False, repr=False)

    @classmethod
    def of(cls, tensors: Mapping[str, torch.Tensor]) -> Self:
        """What was measured: contiguous copies on the CPU."""
        kept = {name: tensor.detach().cpu().clone().contiguous() for name, tensor in tensors.items()}
        return cls(_digest(kept), kept)

    def lazy(self, name: str) -> Known:
        """The tensor called `name`, for a plan."""
        if self.tensors is None or name not in self.tensors:
            raise SurgeryError("what was measured for this step is not at hand", got=f"no {name}")
        tensor = self.tensors[name]
        return Known(shape=tuple(tensor.shape), dtype=tensor.dtype, tensor=tensor)

    @property
    def is_small(self) -> bool:
        """Whether a script says it itself."""
        if self.tensors is None:
            return False
        counts = not any(item.is_floating_point() for item in self.tensors.values())
        return sum(item.numel() for item in self.tensors.values()) <= (COUNTS if counts else SMALL)

    def data(self) -> dict[str, Any]:
        """As JSON: the digest, and the numbers if they are few."""
        if not self.is_small or self.tensors is None:
            return {"digest": self.digest}
        values = {
            name: {"dtype": str(tensor.dtype).removeprefix("torch."), "values": tensor.tolist()}
            for name, tensor in self.tensors.items()
        }
        return {"digest": self.digest, "tensors": values}

    @classmethod
    def from_data(cls, data: Any) -> Self | None:
        """What `data` wrote; None if that is something else or its numbers are not those of its digest."""
        if not isinstance(data, dict) or not set(data) <= {"digest", "tensors"}:
            return None
        digest, values = data.get("digest"), data.get("tensors")
        if not isinstance(digest, str):
            return None
        if values is None:
            return cls(digest)
        try:
            tensors = {
                name: torch.tensor(item["values"], dtype=getattr(torch, item["dtype"]))
                for name, item in values.items()
            }
        except (AttributeError, KeyError, TypeError, ValueError, RuntimeError):
            return None
        return cls(digest, tensors) if _digest(tensors) == digest else None

    def found_in(self, sidecar: Mapping[str, torch.Tensor]) -> Self:
        """The same with its tensors out of a sidecar; SurgeryError if they are not there, or others."""
        if self.tensors is not None:
            return self
        prefix = f"{self.digest}/"
        tensors = {
            name.removeprefix(prefix): value for name, value in sidecar.items() if name.startswith(prefix)
        }
        if _digest(tensors) != self.digest:
            raise SurgeryError(
                "what was measured for a step is not beside the script",
                got=f"{len(tensors)} tensors of {self.digest}",
                hint="the sidecar, a safetensors file of the same name, in the script's folder",
            )
        return type(self)(self.digest, tensors)

    def sidecar(self) -> dict[str, torch.Tensor]:
        """The tensors as a sidecar names them; none if the script says them itself."""
        if self.is_small or self.tensors is None:
            return {}
        return {f"{self.digest}/{name}": tensor for name, tensor in self.tensors.items()}


def _digest(tensors: Mapping[str, torch.Tensor]) -> str:
    lines = [f"{name} {tensor_digest(tensor)}" for name, tensor in sorted(tensors.items())]
    return combined(lines)


def sidecar_of(script: Path) -> Path:
    """Where the sidecar of a script lies: `edits.surgery.safetensors` beside `edits.surgery.json`."""
    return script.with_suffix(".safetensors")


def write_sidecar(tensors: Mapping[str, torch.Tensor], script: Path) -> None:
    """Writes the sidecar of a script, whole or not at all."""
    place = fence.writing(sidecar_of(script))
    partial = place.with_name(f".{place.name}.partial")
    try:
        save_file(dict(tensors), partial)
        partial.replace(place)
    except SafetensorError as error:
        raise OSError(str(error)) from error
    finally:
        partial.unlink(missing_ok=True)


def read_sidecar(script: Path) -> dict[str, torch.Tensor]:
    """The tensors in the sidecar of a script; none where there is no such file."""
    place = fence.reading(sidecar_of(script))
    if not place.is_file():
        return {}
    with Reader() as reader:
        found = reader.everything(place)
        reader.refuse_changed()
    return found
