"""What modules are given and give while a model runs batches of data: for measures and charts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_map_only

from surgery.advise.passing import passes
from surgery.devices import device_of
from surgery.errors import SurgeryError
from surgery.model import private_shell

Hear = Callable[[str, Tensor, Tensor], None]
"""Is called with a path, what the module there was given and what it gave, both (tokens, width)."""


def heard(model: nn.Module, data: Sequence[Any], paths: Iterable[str], hear: Hear, verb: str) -> None:
    """Runs every batch through a shell of the model in evaluation mode, which leaves the model as it is.

    Positions that the batch masks are left out. SurgeryError for no data, and for what the model cannot run.
    """
    if not len(data):
        raise SurgeryError(
            f"{verb} needs data to run the model on, and none came with it",
            hint="`s.data = [batch, …]`, each as the model takes it",
        )
    shell, device = private_shell(model).eval(), device_of(model)
    mask: Tensor | None = None

    def look(path: str, given: Tensor, gave: Tensor) -> None:
        hear(path, _tokens(given, mask), _tokens(gave, mask))

    with torch.no_grad(), torch.random.fork_rng(), passes(shell, paths, look):
        for batch in data:
            told = batch.get("attention_mask") if isinstance(batch, Mapping) else None
            mask = told.bool().flatten() if isinstance(told, Tensor) and told.dim() == 2 else None
            _run(shell, tree_map_only(Tensor, lambda tensor: tensor.to(device), _plain(batch)), verb)


def _plain(batch: Any) -> Any:
    return dict(batch) if isinstance(batch, Mapping) else batch


def _tokens(tensor: Tensor, mask: Tensor | None) -> Tensor:
    """What belongs to tokens, one a row; those that are padding are left out where rows are tokens."""
    rows = tensor.reshape(-1, tensor.shape[-1]) if tensor.dim() > 1 else tensor.reshape(1, -1)
    return rows if mask is None or mask.numel() != len(rows) else rows[mask.to(rows.device)]


def _run(model: nn.Module, batch: Any, verb: str) -> None:
    try:
        if isinstance(batch, dict):
            model(**batch)
        elif isinstance(batch, list | tuple):
            model(*batch)
        else:
            model(batch)
    except SurgeryError:
        raise
    except (TypeError, ValueError, RuntimeError, IndexError) as error:
        raise SurgeryError(
            f"the model cannot run a batch of `s.data` for {verb}: {error}",
            hint="batches as the model takes them",
        ) from error
