"""Where the weights of a model are."""

from __future__ import annotations

import torch
from torch import nn


def device_of(model: nn.Module) -> torch.device:
    """The device of the first weights that have values; the CPU where there are none."""
    held = (parameter.device for parameter in model.parameters() if not parameter.is_meta)
    return next(held, torch.device("cpu"))
