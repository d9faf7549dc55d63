"""Where the weights of a model are, and whether there was room for more."""

from __future__ import annotations

import torch
from torch import nn


def device_of(model: nn.Module) -> torch.device:
    """The device of the first weights that have values; the CPU where there are none."""
    held = (parameter.device for parameter in model.parameters() if not parameter.is_meta)
    return next(held, torch.device("cpu"))


def is_out_of_memory(error: BaseException) -> bool:
    """Whether `error` is an allocation that failed; MPS and the CPU say it as a plain RuntimeError."""
    text = str(error).lower()
    return isinstance(error, torch.OutOfMemoryError) or (
        isinstance(error, RuntimeError) and ("out of memory" in text or "can't allocate memory" in text)
    )
