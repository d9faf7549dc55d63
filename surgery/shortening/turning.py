"""How far blocks turn what goes through them: one pass over the data tells all of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from surgery.calibration.batches import Shown, run
from surgery.calibration.telling import told
from surgery.cosines import cosines
from surgery.devices import device_of
from surgery.evaluate.bench import random_state_kept
from surgery.evaluate.passing import passes
from surgery.model import Patient, private_shell
from surgery.precision import wide
from surgery.stopping import checked


@dataclass(frozen=True, eq=False)
class Turns:
    """`influence` is 1 − E cos(x, f(x)) of each block over the real tokens, NaN where it changes the width.

    `before` and `behind` are what each block was given and gave at the last real token of each text, or at
    all places of what is no text: (vectors, width) float64.
    """

    influence: tuple[float, ...]
    before: tuple[Tensor | None, ...]
    behind: tuple[Tensor | None, ...]

    def angle(self, first: int, count: int) -> float:
        """arccos(cos(x before, x behind)) / π over `count` blocks from `first`, 0 to 1; NaN where unknown."""
        x, y = self.before[first], self.behind[first + count - 1]
        if x is None or y is None or x.shape != y.shape:
            return float("nan")
        return float((torch.arccos(cosines(x, y)) / torch.pi).mean())


def turned(patient: Patient, blocks: Sequence[str], batches: Sequence[Shown], verb: str) -> Turns:
    """What the model as it is says of its blocks. SurgeryError for data that it does not take."""
    heard = told()
    shell = private_shell(patient.root).eval()
    device = device_of(shell)
    sums = {path: torch.zeros(2, dtype=torch.float64) for path in blocks}
    ends: dict[str, tuple[list[Tensor], list[Tensor]]] = {path: ([], []) for path in blocks}
    with torch.no_grad(), random_state_kept(device), checked(shell, heard.check):
        for batch in batches:
            heard.check()

            def look(path: str, taken: Tensor, gave: Tensor, batch: Shown = batch) -> None:
                if taken.shape == gave.shape:
                    near = cosines(_rows(path, taken, batch), _rows(path, gave, batch))
                    sums[path] += torch.stack([(1 - near).sum(), near.new_tensor(len(near))]).cpu()
                for kept, states in zip(ends[path], (taken, gave), strict=True):
                    kept.append(_last(path, states, batch).cpu())

            with passes(shell, blocks, look):
                run(shell, batch, device, verb)
    return Turns(
        tuple(float(total / count) if count else float("nan") for total, count in sums.values()),
        tuple(_joined(before) for before, _ in ends.values()),
        tuple(_joined(behind) for _, behind in ends.values()),
    )


def _rows(path: str, states: Tensor, batch: Shown) -> Tensor:
    """Vectors (rows, width): of real tokens, or of the places of images, whose channels come second."""
    found = wide(states.detach())
    if found.dim() > 3:
        return found.movedim(1, -1).flatten(0, -2)
    flat = found.reshape(-1, found.shape[-1])
    real = batch.real(path, states.shape)
    return flat if real is None else flat[real.to(flat.device)]


def _last(path: str, states: Tensor, batch: Shown) -> Tensor:
    """Vectors (examples, width) at the last real token of each text; else all of them."""
    if not batch.is_text(states.shape):
        return _rows(path, states, batch)
    real = batch.real(path, states.shape)
    places = torch.full((len(states),), states.shape[1] - 1)
    if real is not None:
        places = states.shape[1] - 1 - real.view(states.shape[:2]).flip(1).int().argmax(1)
    return wide(states.detach()[torch.arange(len(states)), places.to(states.device)])


def _joined(parts: list[Tensor]) -> Tensor | None:
    return torch.cat(parts) if parts and len({part.shape[1:] for part in parts}) == 1 else None
