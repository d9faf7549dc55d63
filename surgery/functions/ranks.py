"""Magnitudes by rank: the thresholds that trimming needs, exact, whatever the size of the tensor.

Bit patterns of non-negative floats are ordered as the numbers are. A histogram over 16 of their bits at a
time finds the digits of the element at a rank, in two passes for float32 and four for float64.

Source: original.
"""

from __future__ import annotations

import torch

from surgery.reductions import reduction

_DIGITS = 65536


def magnitude_bits(tensor: torch.Tensor, bits: int) -> torch.Tensor:
    """|x| as bit patterns of float32, or of float64 for 64 `bits`, flat int64; NaN sorts above everything."""
    float_dtype, integers = (torch.float64, torch.int64) if bits == 64 else (torch.float32, torch.int32)
    return tensor.detach().to(float_dtype).abs().flatten().contiguous().view(integers).long()


class Ranking:
    """Finds the elements at several ranks among numbers that come tile by tile, in passes of 16 bits.

    `ranks` count from 1, the smallest. Each has its digits so far and how many elements are below these.
    """

    def __init__(self, ranks: tuple[int, ...], bits: int) -> None:
        self.ranks, self.bits, self.passes = ranks, bits, bits // 16
        self.found = [0 for _ in ranks]
        self.below = [0 for _ in ranks]
        self.counts: dict[int, torch.Tensor] = {}

    def see(self, number: int, tile: torch.Tensor) -> None:
        """A tile of non-negative numbers in pass `number`."""
        bits = magnitude_bits(tile, self.bits)
        shift = self.bits - 16 * (number + 1)
        for digits in dict.fromkeys(self.found):
            chosen = bits if number == 0 else bits[(bits >> (shift + 16)) == digits]
            counts = torch.bincount((chosen >> shift) & (_DIGITS - 1), minlength=_DIGITS).cpu()
            self.counts[digits] = self.counts[digits] + counts if digits in self.counts else counts

    def end_pass(self) -> None:
        """All tiles were seen."""
        for place, rank in enumerate(self.ranks):
            counts = self.counts.get(self.found[place])
            if counts is None:  # nothing at all was seen
                continue
            reached = torch.cumsum(counts, 0) + self.below[place]
            digit = min(int(torch.searchsorted(reached, rank)), _DIGITS - 1)
            self.below[place] = int(reached[digit] - counts[digit])
            self.found[place] = (self.found[place] << 16) | digit
        self.counts.clear()

    def values(self) -> torch.Tensor:
        """The magnitudes at the ranks, (ranks,) float64."""
        if self.bits == 64:
            return torch.tensor(self.found, dtype=torch.int64, device="cpu").view(torch.float64)
        return torch.tensor(self.found, dtype=torch.int32, device="cpu").view(torch.float32).double()


@reduction("magnitudes_at", workspace=40)
class MagnitudesAt:
    """The magnitudes at `ranks` of the one input, counted from 1, the smallest: (ranks,) float64."""

    def __init__(self, inputs: int, *, ranks: tuple[int, ...], bits: int) -> None:
        self.ranking = Ranking(ranks, bits)
        self.passes = self.ranking.passes

    def update(self, number: int, index: int, tile: torch.Tensor) -> None:
        self.ranking.see(number, tile)

    def end_pass(self, number: int) -> None:
        self.ranking.end_pass()

    def finish(self) -> torch.Tensor:
        return self.ranking.values()
