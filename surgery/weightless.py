"""Building a model without its weights: parameters on meta, buffers real."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode
from torch.utils.weak import WeakTensorKeyDictionary

LARGE = 2**26
"""Elements from which a new tensor is taken for a parameter: the experts of one layer may fill a machine."""

_MAKERS = (torch.empty, torch.zeros, torch.ones, torch.rand, torch.randn)

_FILLERS = {"normal_", "uniform_", "kaiming_uniform_", "xavier_uniform_", "trunc_normal_", "zeros_", "ones_"}
"""Of `torch.nn.init`, whose names transformers gives to functions of its own as it builds."""


@contextlib.contextmanager
def weightless() -> Iterator[None]:
    """Modules made inside register their parameters on meta, each object once, so that ties stay.

    Buffers are real. Not for several threads at once: it changes how `nn.Module` registers.
    """
    register = nn.Module.register_parameter
    moved = WeakTensorKeyDictionary()

    def registered(module: nn.Module, name: str, param: nn.Parameter | None) -> None:
        if isinstance(param, nn.Parameter) and not param.is_meta and not nn.parameter.is_lazy(param):
            if param not in moved:
                empty = torch.empty_like(param, device="meta")
                moved[param] = nn.Parameter(empty, requires_grad=param.requires_grad)
                moved[param].__dict__.update(param.__dict__)
            param = moved[param]
        register(module, name, param)

    nn.Module.register_parameter = registered  # type: ignore[method-assign,assignment]
    try:
        with _LargeOnMeta():
            yield
    finally:
        nn.Module.register_parameter = register  # type: ignore[method-assign]


class _LargeOnMeta(TorchFunctionMode):
    """Very large tensors are made on meta at once: there may not be the memory for them even for a moment."""

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        filled = args[0] if args else kwargs.get("tensor")
        if getattr(func, "__name__", "") in _FILLERS and isinstance(filled, torch.Tensor) and filled.is_meta:
            return filled  # there are no values to draw, and a model has thousands of such calls
        if func in _MAKERS and kwargs.get("device") is None and _elements(args, kwargs) >= LARGE:
            kwargs = {**kwargs, "device": "meta"}
        return func(*args, **kwargs)


def _elements(args: tuple[Any, ...], kwargs: dict[str, Any]) -> int:
    size = kwargs.get("size", args[0] if len(args) == 1 and isinstance(args[0], list | tuple) else args)
    count = 1
    for side in size:
        count *= side if isinstance(side, int) else 1
    return count
