"""Example inputs for a trace, made from a config."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

LENGTH = 128
"""Positions in the example; MACs per token are those at this length."""


def example_inputs(model: nn.Module) -> dict[str, Any] | None:
    """Token ids of shape (1, LENGTH) and no cache, for models that take token ids; None for others."""
    config: Any = model.config
    vocabulary = getattr(config, "vocab_size", None)
    takes_tokens = getattr(model, "main_input_name", None) == "input_ids"
    if not takes_tokens or not isinstance(vocabulary, int) or getattr(config, "is_encoder_decoder", False):
        return None
    longest = getattr(config, "max_position_embeddings", LENGTH) or LENGTH
    length = min(LENGTH, int(longest))
    inputs: dict[str, Any] = {"input_ids": torch.arange(length).remainder(vocabulary).unsqueeze(0)}
    if hasattr(config, "use_cache"):
        inputs["use_cache"] = False
    return inputs
