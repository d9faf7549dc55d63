"""What several models learned, compared element by element: lengths, directions, signs."""

from __future__ import annotations

import torch

from surgery.functions.spheres import Gram
from surgery.reductions import reduction


@reduction("agreement", joint=True, workspace=24)
class Agreement:
    """Of a base and n task vectors: their inner products, then two counts: ((1 + n)² + 2,) float64.

    Counted are the elements where two vectors or more are not zero, and those of them where signs differ.
    """

    passes = 1

    def __init__(self, inputs: int) -> None:
        self.gram = Gram(inputs)
        self.shared = self.conflicts = 0

    def update(self, number: int, index: int, *tiles: torch.Tensor) -> None:
        self.gram.update(number, index, *tiles)
        ups = torch.zeros_like(tiles[0], dtype=torch.int16)
        downs = torch.zeros_like(ups)
        for tile in tiles[1:]:
            ups += (tile > 0).to(ups.device)
            downs += (tile < 0).to(ups.device)
        self.shared += int(((ups + downs) > 1).sum())
        self.conflicts += int(((ups > 0) & (downs > 0)).sum())

    def end_pass(self, number: int) -> None: ...

    def finish(self) -> torch.Tensor:
        counts = torch.tensor([self.shared, self.conflicts], dtype=torch.float64, device="cpu")
        return torch.cat([self.gram.finish().flatten(), counts])
