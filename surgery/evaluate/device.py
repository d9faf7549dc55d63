"""Where an evaluation runs, in which precision, and whether it ran out of memory."""

import os
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import nn

from surgery.errors import SurgeryError


def resolve(device: str | torch.device = "auto") -> torch.device:
    """The device meant by "auto" (CUDA, else MPS, else CPU), "cpu", "cuda", "cuda:1", "mps", a torch.device.

    What "auto" means the environment may say: `SURGERY_DEVICE`. Accelerators come back with their index.
    Raises SurgeryError for one that is not there.
    """
    if device == "auto":
        device = os.environ.get("SURGERY_DEVICE", "auto")
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "mps" if _has_mps() else "cpu"
    try:
        asked = torch.device(device)
    except RuntimeError as error:
        raise SurgeryError("unknown device", got=device, expected="auto, cpu, cuda, cuda:1 or mps") from error
    if asked.type == "cpu":
        return torch.device("cpu")
    if asked.type == "mps" and _has_mps():
        return torch.device("mps", 0)
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if asked.type == "cuda" and (asked.index or 0) < count:
        return asked if asked.index is not None else torch.device("cuda", torch.cuda.current_device())
    raise SurgeryError("this machine has no such device", got=asked, expected=_present(count), hint='"auto"')


def autocast(device: torch.device, model: nn.Module, *, exact: bool) -> AbstractContextManager[object]:
    """bf16 autocast on CUDA for a model with float32 weights unless `exact`; else nothing."""
    if is_mixed(device, model, exact=exact):
        return torch.autocast("cuda", dtype=torch.bfloat16)
    return nullcontext()


def is_mixed(device: torch.device, model: nn.Module, *, exact: bool) -> bool:
    """Whether `model` runs under bf16 autocast on `device`."""
    single = any(parameter.dtype == torch.float32 for parameter in model.parameters())
    return device.type == "cuda" and single and not exact


def free_memory(device: torch.device) -> None:
    """Gives back what the allocator of `device` holds unused."""
    if device.type == "cuda":
        torch.cuda.empty_cache()
    elif device.type == "mps":
        torch.mps.empty_cache()


def _has_mps() -> bool:
    return torch.backends.mps.is_available()


def _present(cuda_devices: int) -> str:
    names = ["cpu", *(f"cuda:{index}" for index in range(cuda_devices)), *(["mps"] if _has_mps() else [])]
    return ", ".join(names)
