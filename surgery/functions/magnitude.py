"""Recipes that set the smallest magnitudes to zero: exactly k of them, over one tensor or many.

The threshold is found by a histogram over bit patterns in two passes of 16 bits each (the bits of a
non-negative float32 are ordered as the numbers are), so it needs 65,536 counters whatever the size of
the model and equals `kthvalue` exactly. Elements equal to the threshold are taken in the order of
(tensor, flat index) until there are k; a third pass counts those. Float64 takes two passes more.

Source: original.
"""

from __future__ import annotations

import torch

from surgery.functions.ranks import magnitude_bits
from surgery.recipes import function
from surgery.reductions import reduction


@reduction("smallest_magnitudes", workspace=40)
class SmallestMagnitudes:
    """Over all inputs the `k` smallest magnitudes: a (1 + inputs,) int64 tensor.

    Its first element is the threshold's bit pattern; element 1 + i says how many elements of input i
    that equal the threshold belong to the k, counted from the first flat index.
    `bits` is 32, or 64 where there is float64.
    """

    def __init__(self, inputs: int, *, k: int, bits: int) -> None:
        self.k, self.bits, self.chunks = k, bits, bits // 16
        self.passes = self.chunks + 1
        self.counts = torch.zeros(65536, dtype=torch.long, device="cpu")
        self.threshold = self.below = 0
        self.equal = [0] * inputs

    def update(self, number: int, index: int, tensor: torch.Tensor) -> None:
        bits = magnitude_bits(tensor, self.bits)
        if number == self.chunks:
            self.equal[index] += int((bits == self.threshold).sum())
            return
        shift = 16 * (self.chunks - 1 - number)
        if number:  # only what shares the digits found so far
            bits = bits[(bits >> (shift + 16)) == self.threshold]
        self.counts += torch.bincount((bits >> shift) & 0xFFFF, minlength=65536).cpu()

    def end_pass(self, number: int) -> None:
        if number == self.chunks:
            return
        reached = torch.cumsum(self.counts, 0) + self.below
        slot = int(torch.searchsorted(reached, self.k))
        self.below = int(reached[slot] - self.counts[slot])
        self.threshold = (self.threshold << 16) | slot
        self.counts.zero_()

    def finish(self) -> torch.Tensor:
        left, taken = self.k - self.below, []
        for count in self.equal:
            taken.append(min(left, count))
            left -= taken[-1]
        return torch.tensor([self.threshold, *taken])


@function(tiling="whole", workspace=40)
def zero_smallest(weight: torch.Tensor, smallest: torch.Tensor, *, index: int, bits: int) -> torch.Tensor:
    """`weight` with its part of the k smallest set to zero; `index` is its place among the inputs."""
    ranked = magnitude_bits(weight, bits)
    threshold, quota = int(smallest[0]), int(smallest[1 + index])
    drop = ranked < threshold
    at_threshold = (ranked == threshold).nonzero().flatten()[:quota]
    drop[at_threshold] = True
    return weight.masked_fill(drop.view(weight.shape), 0.0)
