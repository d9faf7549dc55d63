"""Where the arithmetic of a streamed replay is done."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from surgery.errors import SurgeryError

CPU = torch.device("cpu")


def arithmetic_device(name: str) -> torch.device:
    """The CPU, or a device that computes as CUDA does. SurgeryError where torch does not have it here.

    MPS has no float64, which reductions sum up in, and is refused.
    """
    if name == "cpu":
        return CPU
    from surgery.evaluate.device import resolve

    found = resolve(name)
    if found.type not in ("cpu", "cuda"):
        raise SurgeryError(
            "sums are made in float64, which it does not have", got=found, expected="cpu or cuda"
        )
    return found


@contextmanager
def memory_of(device: torch.device) -> Iterator[None]:
    """Within, an allocation that fails on an accelerator is a SurgeryError."""
    try:
        yield
    except torch.OutOfMemoryError as error:
        raise SurgeryError(
            "too little memory is free on the device", got=device, hint="a smaller `memory`, or the CPU"
        ) from error
