"""Series over time."""

from __future__ import annotations

import torch

from surgery.sources.forward import Forward


def past_values(forward: Forward) -> torch.Tensor | None:
    """A series (1, steps, channels), float32; None where its length or its channels are in no config."""
    steps, channels = forward.number(("context_length",)), forward.number(("num_input_channels",))
    return torch.zeros(1, steps, channels) if steps and channels else None


SERIES = {"past_values": past_values}
