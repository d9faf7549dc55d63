"""Recipes that set the smallest magnitudes to zero: exactly k of them, over one tensor or many.

The threshold is found by a histogram over bit patterns in two passes of 16 bits each (the bits of a
non-negative float32 are ordered as the numbers are), so it needs 65,536 counters whatever the size of
the model and equals `kthvalue` exactly. Elements equal to the threshold are taken in the order of
(tensor, flat index) until there are k; a third pass counts those. Float64 weights are ranked as
float32. Source: original.
"""

from __future__ import annotations

import torch

from surgery.recipes import REDUCTIONS, function


def _bits(tensor: torch.Tensor) -> torch.Tensor:
    """|x| as float32 bit patterns, flat int64; NaN sorts above everything."""
    return tensor.detach().float().abs().flatten().contiguous().view(torch.int32).long()


class SmallestMagnitudes:
    """Over all inputs the `k` smallest magnitudes: a (1 + inputs,) int64 tensor.

    Its first element is the threshold's bit pattern; element 1 + i says how many elements of input i
    that equal the threshold belong to the k, counted from the first flat index.
    """

    passes = 3

    def __init__(self, inputs: int, *, k: int) -> None:
        self.k, self.inputs = k, inputs
        self.counts = torch.zeros(65536, dtype=torch.long)
        self.high = self.threshold = self.below = 0
        self.equal = [0] * inputs

    def update(self, number: int, index: int, tensor: torch.Tensor) -> None:
        bits = _bits(tensor)
        if number == 0:
            self.counts += torch.bincount(bits >> 16, minlength=65536)
        elif number == 1:
            inside = bits[(bits >> 16) == self.high] & 0xFFFF
            self.counts += torch.bincount(inside, minlength=65536)
        else:
            self.equal[index] += int((bits == self.threshold).sum())

    def end_pass(self, number: int) -> None:
        if number == 2:
            return
        reached = torch.cumsum(self.counts, 0) + self.below
        slot = int(torch.searchsorted(reached, self.k))
        self.below = int(reached[slot] - self.counts[slot])
        if number == 0:
            self.high = slot
        else:
            self.threshold = (self.high << 16) | slot
        self.counts.zero_()

    def finish(self) -> torch.Tensor:
        left, taken = self.k - self.below, []
        for count in self.equal:
            taken.append(min(left, count))
            left -= taken[-1]
        return torch.tensor([self.threshold, *taken])


REDUCTIONS["smallest_magnitudes"] = SmallestMagnitudes


@function(tiling="whole")
def zero_smallest(weight: torch.Tensor, smallest: torch.Tensor, *, index: int) -> torch.Tensor:
    """`weight` with its part of the k smallest set to zero; `index` is its place among the inputs."""
    bits = _bits(weight)
    threshold, quota = int(smallest[0]), int(smallest[1 + index])
    drop = bits < threshold
    at_threshold = (bits == threshold).nonzero().flatten()[:quota]
    drop[at_threshold] = True
    return weight.masked_fill(drop.view(weight.shape), 0.0)
