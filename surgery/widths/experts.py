"""The experts of mixtures as transformers has them: slices of stacked weights, rows of the router."""

from __future__ import annotations

from math import ceil
from typing import Any

from torch import nn

from surgery.errors import SurgeryError
from surgery.model import Patient
from surgery.widths.part import Cut, Follow, Part

PROVED = ("deepseek_v2", "deepseek_v3", "mixtral", "qwen2_moe", "qwen3_moe")
"""Families whose routers are known: they weigh the experts that are left as if the others had no chance."""

_COUNTS = ("num_experts", "num_local_experts", "n_routed_experts")
"""What families call the number of experts in their configs."""


def experts(patient: Patient) -> list[Part]:
    """The mixtures of the model, each with a router `gate` beside its `experts`.

    Where a router first chooses among groups of experts, a unit is one expert of every group: the groups
    stay equally large. As many must be left as a token is sent to. Refused are families that are not
    proved; in a module that is no transformers model nobody knows how it routes, and nothing is found.
    """
    found = [_part(patient, path, module) for path, module in patient.walk() if _is_mixture(module)]
    family = patient.model_type
    if found and family is not None and family not in PROVED:
        raise SurgeryError(
            f"narrow is not proved on the experts of the family {family!r} yet",
            path=found[0].path,
            expected=f"one of {', '.join(PROVED)}",
        )
    return found if family is not None else []


def _is_mixture(module: nn.Module) -> bool:
    gate, stacked = module._modules.get("gate"), module._modules.get("experts")
    if gate is None or stacked is None:
        return False
    weights = [stacked._parameters.get(name) for name in ("gate_up_proj", "down_proj")]
    return gate._parameters.get("weight") is not None and all(
        weight is not None and weight.dim() == 3 for weight in weights
    )


def _part(patient: Patient, path: str, module: Any) -> Part:
    around = f"{path}." if path else ""
    total = int(module.gate.weight.shape[0])
    groups = _groups(module.gate)
    each = total // groups
    # Expert i of every group is a unit: with one group the i-th expert.
    sections = tuple((group * each, 1) for group in range(groups))
    cuts = [
        Cut(f"{around}{child}.{name}", 0, sections)
        for child in ("gate", "experts")
        for name, tensor in getattr(module, child)._parameters.items()
        if tensor is not None and tensor.shape[0] == total
    ]
    if "e_score_correction_bias" in module.gate._buffers:
        cuts.append(Cut(f"{around}gate.e_score_correction_bias", 0, sections, scored=False))
    follows = [
        Follow(f"{around}{child}", "num_experts", groups)
        for child in ("gate", "experts")
        if "num_experts" in getattr(module, child).__dict__
    ]
    return Part(
        path=path,
        count=each,
        cuts=tuple(cuts),
        follows=tuple(follows),
        agreed=tuple(Follow("", name, groups) for name in _COUNTS if name in patient.root.__dict__),
        config=tuple((name, groups) for name in _COUNTS),
        least=_least(module.gate, groups),
        per_unit=groups,
    )


def _groups(gate: Any) -> int:
    """Into how many groups the router sorts its experts before it chooses."""
    if getattr(gate, "topk_method", None) == "greedy":  # it has groups and does not use them
        return 1
    return int(getattr(gate, "num_group", None) or 1)


def _least(gate: Any, groups: int) -> int:
    """How many experts a group must keep: those a token is sent to come from the chosen groups alone."""
    chosen = int(getattr(gate, "topk_group", None) or 1) if groups > 1 else 1
    by_two_best = 2 if "e_score_correction_bias" in gate._buffers else 1  # a group's score is their sum
    return max(ceil(int(gate.top_k) / chosen), by_two_best)
