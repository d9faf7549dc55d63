"""Short ways for operators on fake tensors, where a fake tensor mode takes many times as long.

What an operator that returns fresh tensors made of the same shapes, strides, dtypes and numbers before is
remembered. Plain views are made by their meta kernels. Writes in place, and whatever knows a value, go the
long way.
"""

from collections.abc import Iterable
from typing import Any

import torch
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode

from graph.tracing.fakes import empty_fake, wrapped
from graph.tracing.written import into_fakes

MOST = 50_000
"""So many outcomes are remembered; then all are forgotten."""

_PLAIN = frozenset(
    {bool, int, float, complex, str, type(None)}
    | {torch.dtype, torch.device, torch.layout, torch.memory_format}
)
_MASKS = (torch.bool, torch.uint8)
_CPU = torch.device("cpu")
_aten = torch.ops.aten
_DEVICE, _INDEX = torch.ops.prim.device.default, _aten.index.Tensor
_VIEWS = frozenset({
    _aten.alias.default, _aten.detach.default, _aten.expand.default, _aten.permute.default,
    _aten.select.int, _aten.slice.Tensor, _aten.split.Tensor, _aten.split_with_sizes.default,
    _aten.squeeze.dim, _aten.t.default, _aten.transpose.int, _aten.unbind.int, _aten.unsqueeze.default,
    _aten.view.default,
})  # fmt: skip

Kind = tuple[tuple[int, ...], tuple[int, ...], torch.dtype]
Outcome = tuple[type, tuple[Kind, ...]]

_outcomes: dict[Any, Outcome] = {}
_fresh: dict[Any, bool] = {}


def shortly(operator: Any, mode: FakeTensorMode, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """`operator(*args, **kwargs)` under `mode`, or tensors like those it returns."""
    if operator is _DEVICE and type(args[0]) is FakeTensor:
        return args[0].fake_device
    fresh = _fresh.get(operator)
    if fresh is None:
        fresh = _fresh[operator] = _returns_fresh(operator)
    key = _key(operator, mode, args, kwargs) if fresh or operator in _VIEWS else None
    if key is None:
        if not fresh:
            args, kwargs = into_fakes(operator, mode, args, kwargs)
        return operator(*args, **kwargs)
    if not fresh:
        return _viewed(operator, mode, args, kwargs)
    known = _outcomes.get(key)
    if known is not None:
        return _made(known, mode)
    out = operator(*args, **kwargs)
    if (outcome := _outcome(out)) is not None:
        if len(_outcomes) >= MOST:
            _outcomes.clear()
        _outcomes[key] = outcome
    return out


def _viewed(operator: Any, mode: FakeTensorMode, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    with torch._C._DisableTorchDispatch(), torch._C._PreserveDispatchKeyGuard():  # as the mode itself does
        torch._C._set_meta_in_tls_dispatch_include(True)
        mode.in_kernel_invocation = True
        try:
            out = operator(*args, **kwargs)
        finally:
            mode.in_kernel_invocation = False
    if type(out) in (list, tuple):
        return type(out)(wrapped(view, mode) for view in out)
    return wrapped(out, mode)


def _returns_fresh(operator: Any) -> bool:
    """Whether what `operator` returns is new, of a shape that hangs on shapes alone."""
    schema = operator._schema
    aliases = any(returned.alias_info is not None for returned in schema.returns)
    by_value = torch.Tag.dynamic_output_shape in operator.tags and operator is not _INDEX
    return not (schema.is_mutable or aliases or by_value)


def _key(operator: Any, mode: FakeTensorMode, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """What the outcome hangs on; None if it may hang on more, such as a value or another device."""
    said: list[Any] = [operator, torch.get_default_dtype()]
    if not _say(args, mode, said):
        return None
    if operator is _INDEX and any(index is not None and index.dtype in _MASKS for index in args[1]):
        return None  # how many a mask lets through is a value
    if kwargs:
        said.append(tuple(kwargs))
        if not _say(kwargs.values(), mode, said):
            return None
    return tuple(said)


def _say(values: Iterable[Any], mode: FakeTensorMode, said: list[Any]) -> bool:
    for value in values:
        kind = type(value)
        if kind is FakeTensor:
            if value.constant is not None or value.fake_mode is not mode or value.fake_device != _CPU:
                return False
            said.append((tuple(value.shape), value.stride(), value.dtype))
        elif kind in _PLAIN:
            said.append((kind, value))
        elif kind is list or kind is tuple:
            said.append(len(value))
            if not _say(value, mode, said):
                return False
        else:
            return False
    return True


def _outcome(out: Any) -> Outcome | None:
    several = type(out) in (list, tuple)
    kinds = []
    for tensor in out if several else (out,):
        if type(tensor) is not FakeTensor or tensor.constant is not None or tensor.fake_device != _CPU:
            return None
        kinds.append((tuple(tensor.shape), tensor.stride(), tensor.dtype))
    return type(out) if several else FakeTensor, tuple(kinds)


def _made(outcome: Outcome, mode: FakeTensorMode) -> Any:
    form, kinds = outcome
    with torch._C._DisableTorchDispatch():
        made = [empty_fake(shape, strides, dtype, mode) for shape, strides, dtype in kinds]
    return made[0] if form is FakeTensor else form(made)
