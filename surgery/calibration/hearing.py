"""What modules are given and give while a model runs batches of data: for measures and charts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import torch
from torch import Tensor, nn

from surgery.calibration.batches import Shown, run
from surgery.calibration.telling import told
from surgery.devices import device_of
from surgery.evaluate.passing import passes
from surgery.model import private_shell

Hear = Callable[[str, Tensor, Tensor], None]
"""Is called with a path, what the module there was given and what it gave, both (tokens, width)."""


def heard(model: nn.Module, batches: Sequence[Shown], paths: Iterable[str], hear: Hear, verb: str) -> None:
    """Runs the batches through a shell of the model in evaluation mode, which leaves the model as it is.

    Positions that a batch masks are left out. SurgeryError for what the model cannot run, and Stopped.
    """
    shell, device, listening = private_shell(model).eval(), device_of(model), told()
    batch = None

    def look(path: str, given: Tensor, gave: Tensor) -> None:
        hear(path, _tokens(batch, path, given), _tokens(batch, path, gave))

    with torch.no_grad(), torch.random.fork_rng(), passes(shell, paths, look):
        for number, batch in enumerate(batches):
            listening.check()
            run(shell, batch, device, verb)
            listening.progress((number + 1) / len(batches), f"{number + 1:,} of {len(batches):,} batches")


def _tokens(batch: Shown | None, path: str, tensor: Tensor) -> Tensor:
    """What belongs to tokens, one a row; those that are padding are left out where rows are tokens."""
    rows = tensor.reshape(-1, tensor.shape[-1]) if tensor.dim() > 1 else tensor.reshape(1, -1)
    real = None if batch is None else batch.real(path, tensor.shape)
    return rows if real is None else rows[real.to(rows.device)]
