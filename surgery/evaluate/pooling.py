"""The embedding of an example: a model's own pooling, else the mean of its last hidden states."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from surgery.evaluate.data.examples import Batch

_POOLED = ("sentence_embedding", "pooler_output")
_STATES = ("last_hidden_state", "encoder_last_hidden_state")
_TOWERS = ("image_embeds", "text_embeds")


def embedding_in(output: Any, body: Any, batch: Batch) -> Tensor | None:
    """Embeddings (examples, width) float32 in what a model gave, or in what its body gave; None without.

    Where two towers give one each, both side by side. A module that gives a bare tensor is taken to be an
    encoder.
    """
    for given in (output, body):
        if isinstance(given, Mapping):
            towers = [given[name] for name in _TOWERS if isinstance(given.get(name), Tensor)]
            if towers and all(len(tower) == len(batch) for tower in towers):
                return torch.cat([tower.float() for tower in towers], -1)
            for name in _POOLED:
                if isinstance(given.get(name), Tensor):
                    return _flat(given[name].float())
            for name in _STATES:
                if isinstance(given.get(name), Tensor):
                    return _mean(given[name], batch)
    return _mean(output, batch) if isinstance(output, Tensor) and output.dim() < 4 else None


def first_tensor(output: Any) -> Tensor | None:
    """The tensor a module gave, the first of several."""
    if isinstance(output, Mapping):
        output = list(output.values())
    if isinstance(output, tuple | list):
        output = output[0] if output else None
    return output if isinstance(output, Tensor) else None


def _mean(states: Tensor, batch: Batch) -> Tensor | None:
    """The mean over real tokens, or over the places of an image."""
    if not states.is_floating_point() or states.dim() < 2 or len(states) != len(batch):
        return None
    states, real = states.float(), batch.real
    if states.dim() == 4:
        return states.mean((2, 3))
    if states.dim() == 3 and real is not None and real.shape == states.shape[:2]:
        weights = real.unsqueeze(-1).float()
        return torch.where(real.unsqueeze(-1), states, 0.0).sum(1) / weights.sum(1)
    return states.mean(1) if states.dim() == 3 else _flat(states)


def _flat(pooled: Tensor) -> Tensor:
    return pooled.flatten(1)
