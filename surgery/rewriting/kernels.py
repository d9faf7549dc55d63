"""Kernels and biases of branches, as recipes in float64 that are rounded once, in their sum."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from surgery.lazy import Lazy, Recipe, recipe
from surgery.model import Patient
from surgery.rewriting.branches import Branch
from surgery.rewriting.folding import Fold

_WIDE = torch.float64


def kernel_of(patient: Patient, lead: Branch, branch: Branch) -> Recipe:
    """The kernel of a branch with its norm in it, of the shape of the lead's weight."""
    shape = patient.tensor(f"{lead.layer}.weight").shape
    if not branch.layer:
        norm: Any = patient.module(branch.norm)
        gains = [] if norm.weight is None else [patient.tensor(f"{branch.norm}.weight")]
        variance = patient.buffer(f"{branch.norm}.running_var")
        assert variance is not None
        return recipe(
            "identity_kernel",
            variance,
            *gains,
            shape=shape,
            dtype=_WIDE,
            eps=float(norm.eps),
            inputs=shape[1],
            sides=shape[2:],
        )
    if branch.norm:
        made = Fold(branch.norm, branch.layer).weight(patient, _WIDE)
    else:
        made = recipe("cast", patient.tensor(f"{branch.layer}.weight"), dtype=_WIDE, to="float64")
    return made if made.shape == shape else recipe("padded_kernel", made, shape=shape, sides=shape[2:])


def bias_of(patient: Patient, branch: Branch) -> Recipe | None:
    """The bias of a branch with its norm in it; None where it has neither."""
    if branch.norm:
        return Fold(branch.norm, branch.layer).bias(patient, _WIDE)
    if patient.module(branch.layer)._parameters.get("bias") is None:
        return None
    return recipe("cast", patient.tensor(f"{branch.layer}.bias"), dtype=_WIDE, to="float64")


def total(parts: Sequence[Lazy], dtype: torch.dtype) -> Recipe:
    """The sum of float64 tensors in this dtype."""
    added = recipe("weighted_sum", *parts, weights=(1.0,) * len(parts))
    return recipe("cast", added, dtype=dtype, to=str(dtype).removeprefix("torch."))
