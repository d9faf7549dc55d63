"""Double precision, where the device has it."""

from __future__ import annotations

from torch import Tensor


def wide(tensor: Tensor) -> Tensor:
    """The tensor as float64, on Apple's devices as float32."""
    return tensor.float() if tensor.device.type == "mps" else tensor.double()


def on_cpu(tensor: Tensor) -> Tensor:
    """The tensor as float64 on the CPU."""
    return tensor.detach().cpu().double()
