"""Multiply-accumulates per operator, counted where operators are dispatched.

Uses torch's own formulas (`torch.utils.flop_counter`, two flops per MAC) and adds those for
operators it has none for, such as the attention kernel that runs on CPU.
"""

from collections.abc import Callable
from math import prod
from typing import Any

import torch
from torch.utils.flop_counter import flop_registry

Formula = Callable[..., int]
_aten = torch.ops.aten


def macs_of(operator: Any, args: tuple[Any, ...], kwargs: dict[str, Any], out: Any) -> int:
    """MACs of one dispatched operator; 0 for those that only move or combine elements."""
    packet = getattr(operator, "_overloadpacket", operator)
    own = _OWN.get(packet)
    if own is not None:
        return own(*args)
    formula = flop_registry.get(packet)
    return 0 if formula is None else int(formula(*args, **kwargs, out_val=out)) // 2


def _attention(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, *_: object) -> int:
    """Scores and the weighted sum, for queries (b, h, s, e), keys (b, g, t, e), values (b, g, t, v).

    Causal attention counts in full, as torch's own formulas do.
    """
    batch, heads, rows, width = query.shape
    return batch * heads * rows * key.shape[2] * (width + value.shape[3])


def _vector(matrix: torch.Tensor, vector: torch.Tensor, *_: object) -> int:
    return matrix.numel()


def _added_vector(_base: torch.Tensor, matrix: torch.Tensor, *_: object) -> int:
    return matrix.numel()


def _added_batches(_base: torch.Tensor, left: torch.Tensor, right: torch.Tensor, *_: object) -> int:
    return left.numel() * right.shape[2]


def _recurrent(steps: torch.Tensor, inner: torch.Tensor, outer: torch.Tensor, *_: object) -> int:
    """A recurrent layer over (time, batch, width): both weights once per step and example."""
    return prod(steps.shape[:2]) * (inner.numel() + outer.numel())


def _grouped(left: torch.Tensor, right: torch.Tensor, *_: object) -> int:
    """Rows (m, k) shared out over experts (e, k, n), or one product per group (e, m, k)."""
    return left.numel() * right.shape[-1]


def _trilinear(
    one: torch.Tensor,
    two: torch.Tensor,
    three: torch.Tensor,
    into_one: list[int],
    into_two: list[int],
    into_three: list[int],
    *_: object,
) -> int:
    """A sum of products of three, each stretched along the dimensions that are put into it."""
    full = [1] * (one.dim() + len(into_one))
    for tensor, new in ((one, into_one), (two, into_two), (three, into_three)):
        sizes = iter(tensor.shape)
        shape = [1 if place in new else next(sizes) for place in range(len(full))]
        full = [max(pair) for pair in zip(full, shape, strict=True)]
    return prod(full)


def _table() -> dict[Any, Formula]:
    formulas: dict[str, Formula] = {
        "_scaled_dot_product_flash_attention_for_cpu": _attention,
        "_scaled_dot_product_fused_attention_overrideable": _attention,
        "dot": _vector,
        "mv": _vector,
        "addmv": _added_vector,
        "addbmm": _added_batches,
        "mkldnn_rnn_layer": _recurrent,
        "_grouped_mm": _grouped,
        "_trilinear": _trilinear,
    }
    # Not every torch release has every kernel.
    return {getattr(_aten, name): made for name, made in formulas.items() if hasattr(_aten, name)}


_OWN = _table()
