"""Running a model in float64, whatever it is made of: no weight is copied for longer than a call takes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from itertools import pairwise
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves, tree_map_only

from graph.tracing.trace import arguments
from surgery.devices import device_of

_NARROWER = (torch.float32, torch.bfloat16, torch.float16)


def _grouped(a: torch.Tensor, b: torch.Tensor, *, offs: torch.Tensor, **_: Any) -> torch.Tensor:
    """What mixtures of experts ask for, which torch has no float64 kernel of: rows × inputs by experts."""
    starts = [0, *offs.tolist()]
    parts = [a[start:stop] @ b[group] for group, (start, stop) in enumerate(pairwise(starts))]
    return torch.cat([*parts, a.new_zeros(a.shape[0] - starts[-1], b.shape[-1])])


_INSTEAD: dict[Any, Callable[..., torch.Tensor]] = {
    torch.Tensor.float: torch.Tensor.double,
    torch.Tensor.half: torch.Tensor.double,
    torch.Tensor.bfloat16: torch.Tensor.double,
    getattr(torch, "_grouped_mm", None): _grouped,
    getattr(torch.nn.functional, "grouped_mm", None): _grouped,
}


class InDouble(TorchFunctionMode):
    """Every torch function inside computes in float64: what it is given is made so, and what it asks for.

    A model that casts to float32 on its way, as norms of transformers do, would else round there, and hide
    what a proof looks for.
    """

    def __torch_function__(
        self,
        func: Any,
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        args, kwargs = _doubled((args, kwargs or {}))
        return _doubled(_INSTEAD.get(func, func)(*args, **kwargs))


def _doubled(value: Any) -> Any:
    """The value with each tensor, and each dtype that is asked for, in float64 where it was narrower."""
    if isinstance(value, torch.Tensor):
        return value.double() if value.dtype in _NARROWER else value
    if isinstance(value, torch.dtype):
        return torch.float64 if value in _NARROWER else value
    if type(value) in (list, tuple):
        return type(value)(map(_doubled, value))
    if type(value) is dict:
        return {key: _doubled(item) for key, item in value.items()}
    if isinstance(value, tuple) and type(value).__module__ == "torch.return_types":
        return type(value)(list(map(_doubled, value)))
    return value


def outputs(model: nn.Module, inputs: Any, *, double: bool = True) -> list[torch.Tensor]:
    """The floating-point tensors that `model` returns for `inputs`, in order; in float64, or as it is."""
    device = device_of(model)
    inputs = tree_map_only(torch.Tensor, lambda tensor: tensor.detach().to(device), inputs)
    args, kwargs = arguments(model, _doubled(inputs) if double else inputs)
    computing: Any = InDouble() if double else nullcontext()
    with torch.no_grad(), torch.random.fork_rng(devices=[]), computing:
        torch.manual_seed(0)  # what a forward draws, it draws the same every time
        result = model(*args, **kwargs)
    return [
        leaf
        for leaf in tree_leaves(_plain(result))
        if isinstance(leaf, torch.Tensor) and leaf.is_floating_point()
    ]


def _plain(result: Any) -> Any:
    """What a model returned as plain containers: its own classes of results are opened."""
    if isinstance(result, torch.Tensor):
        return result
    if hasattr(result, "to_tuple"):
        return result.to_tuple()
    if hasattr(result, "items"):
        return {str(key): _plain(value) for key, value in result.items()}
    if hasattr(result, "__dataclass_fields__"):
        return [_plain(getattr(result, name)) for name in result.__dataclass_fields__]
    return result
