"""Cosines of vectors, exact where they should be: 1 for equal ones, −1 for opposite ones."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def cosines(ours: Tensor, theirs: Tensor) -> Tensor:
    """The cosine of each row of one with that of the other, (rows,); two vectors of zeros are equal."""
    found = F.cosine_similarity(ours, theirs, dim=-1).clamp(-1, 1)
    found = torch.where((ours == theirs).all(-1), torch.ones_like(found), found)
    opposite = (ours == -theirs).all(-1) & (ours != 0).any(-1)
    return torch.where(opposite, -torch.ones_like(found), found)


def gram_cosines(gram: Tensor) -> Tensor:
    """The cosines (n, n) of n vectors from their inner products; 1 on the diagonal, NaN for zeros."""
    lengths = gram.diagonal().clamp_min(0).sqrt()
    found = (gram / (lengths.unsqueeze(0) * lengths.unsqueeze(1))).clamp(-1, 1)
    found = (found + found.T) / 2
    known = torch.where(lengths > 0, torch.ones_like(lengths), torch.nan)
    return found - torch.diag(found.diagonal()).nan_to_num(0.0) + torch.diag(known.nan_to_num(0.0))
