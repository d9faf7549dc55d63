"""A model and its inputs with fake tensors: shapes and dtypes of CPU tensors, and no memory.

Meta tensors won't do: models ask for values while they build masks, and a plain meta forward fails.
"""

import dataclasses
from collections.abc import Callable, Container, Iterable, Mapping
from types import SimpleNamespace
from typing import Any, cast
from weakref import WeakKeyDictionary

import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode, unset_fake_temporarily

from graph.holders import map_tensors
from graph.shell import NotShellable, Shell, alias, lazy_like, shell
from graph.tree import is_lazy

_PLAIN = frozenset({type(None), bool, int, float, str, torch.dtype, torch.device})
FEW = 64
"""Whole numbers in a buffer that a trace may know: more of them are data."""

_CPU, _META = torch.device("cpu"), torch.device("meta")
_patterns: WeakKeyDictionary[FakeTensorMode, dict[str, Any]] = WeakKeyDictionary()


def fake_mode() -> FakeTensorMode:
    """A mode in which fake tensors live; tensors a model hides from its tree may join in."""
    return FakeTensorMode(allow_non_fake_inputs=True)


def fake_shell(model: nn.Module, mode: FakeTensorMode, spent: Container[nn.Module] = ()) -> Shell:
    """A shell of `model`, in eval mode, whose parameters and buffers are fake CPU tensors.

    Parameters may be real or on meta; ties and reused modules stay. Lazy parameters stay lazy (see
    `materialised`); modules that can't be taken apart are sealed. What has no fake stays real: an operator
    on it raises. Modules that are `spent` become part of the shell themselves.
    """
    parameter, buffer = stand_ins(mode, bool(spent))
    made = shell(model, parameter, buffer, seal=True, spent=spent)
    resting(made.source_of)
    return made


def stand_ins(
    mode: FakeTensorMode, used_up: bool
) -> tuple[Callable[[nn.Parameter], nn.Parameter], Callable[[torch.Tensor], torch.Tensor]]:
    """What makes the fakes of parameters and of buffers; of parameters that are `used_up` in their place."""

    def parameter(old: nn.Parameter) -> nn.Parameter:
        if used_up and type(old) is nn.Parameter and old.is_meta and old.layout == torch.strided:
            return fake_over(old, mode)
        if is_lazy(old):
            return cast(nn.Parameter, lazy_like(old, _META))
        return alias(old) if has_no_fake(old) else fake_parameter(old, mode)

    def buffer(old: torch.Tensor) -> torch.Tensor:
        if is_lazy(old):
            return lazy_like(old, _META)
        if has_no_fake(old):
            return old.detach()
        return known(old, mode) if _is_structure(old) else fake(old, mode)

    return parameter, buffer


def has_no_fake(tensor: torch.Tensor) -> bool:
    """Whether shapes can't stand for `tensor`: of quantised and nested ones there are no fakes."""
    return tensor.is_quantized or tensor.is_nested


def given_fake(inputs: Any, mode: FakeTensorMode) -> Any:
    """Inputs with a fake for each tensor; NotShellable for one that has no fake."""

    def stand_in(tensor: torch.Tensor) -> torch.Tensor:
        if has_no_fake(tensor):
            kind = "quantised" if tensor.is_quantized else "nested"
            raise NotShellable("", f"an input is a {kind} tensor, of which shapes alone say too little")
        return fake(tensor, mode)

    return map_tensors(inputs, stand_in, objects=True)


def _is_structure(buffer: torch.Tensor) -> bool:
    """Whether `buffer` holds a few whole numbers: sizes and offsets that a forward may ask for."""
    whole = not (buffer.is_floating_point() or buffer.is_complex() or buffer.is_quantized)
    return whole and not buffer.is_meta and buffer.layout == torch.strided and buffer.numel() <= FEW


def known(tensor: torch.Tensor, mode: FakeTensorMode) -> torch.Tensor:
    """A fake CPU tensor whose values may be asked for."""
    value = tensor.detach().to(_CPU, copy=True)
    return FakeTensor(mode, value.to(_META), _CPU, constant=value)


def resting(modules: Iterable[nn.Module]) -> None:
    """Put each module in eval mode."""
    for module in modules:  # `eval()` recurses, and deep trees have no limit here
        if "training" in module.__dict__:
            module.__dict__["training"] = False
        else:
            module.training = False


def materialised(module: Any, mode: FakeTensorMode) -> None:
    """Make `module` infer its lazy shapes in plain meta tensors, and turn these into fake ones.

    Lazy modules set the data of their parameters, which a fake tensor refuses.
    """
    infer = module.initialize_parameters

    def inferred(*args: Any, **kwargs: Any) -> None:
        with unset_fake_temporarily():
            infer(*args, **kwargs)
        for name, parameter in module._parameters.items():
            if parameter is not None:
                module._parameters[name] = fake_parameter(parameter, mode)
        for name, buffer in module._buffers.items():
            if buffer is not None:
                module._buffers[name] = fake(buffer, mode)

    module.__dict__["initialize_parameters"] = inferred


def fake_parameter(tensor: torch.Tensor, mode: FakeTensorMode) -> nn.Parameter:
    """What nn.Parameter makes of a fake tensor, less a detach per parameter."""
    made = fake(tensor, mode, trainable=tensor.requires_grad)
    made.__dict__["_is_param"] = True
    return cast(nn.Parameter, made)


def fake(tensor: torch.Tensor, mode: FakeTensorMode, *, trainable: bool = False) -> torch.Tensor:
    """A fake CPU tensor of the same shape, strides and dtype; its values are unknown."""
    strides = tensor.stride() if tensor.layout == torch.strided else None
    return empty_fake(tuple(tensor.shape), strides, tensor.dtype, mode, trainable=trainable)


def empty_fake(
    shape: tuple[int, ...],
    strides: tuple[int, ...] | None,
    dtype: torch.dtype,
    mode: FakeTensorMode,
    *,
    trainable: bool = False,
) -> torch.Tensor:
    """A fake CPU tensor, its values unknown; contiguous where `strides` is None."""
    # Made directly: to let the mode make it takes fifteen times as long.
    if strides is None:
        return wrapped(torch.empty(shape, dtype=dtype, device=_META), mode, trainable)
    return wrapped(torch.empty_strided(shape, strides, dtype=dtype, device=_META), mode, trainable)


def wrapped(meta: torch.Tensor, mode: FakeTensorMode, trainable: bool = False) -> torch.Tensor:
    """A fake CPU tensor over a meta tensor, made like the first one of its mode.

    The constructor takes five times as long as the tensor; what it sets is the same for all of a mode.
    """
    made = torch.Tensor._make_subclass(
        FakeTensor, meta, trainable, dispatch_device=True, device_for_backend_keys=_CPU
    )
    made.__dict__.update(_pattern(mode), fake_mode=mode)
    return made


def _pattern(mode: FakeTensorMode) -> dict[str, Any]:
    """The attributes of a fake tensor that knows no values, but for its mode."""
    pattern = _patterns.get(mode)
    if pattern is None:
        pattern = vars(FakeTensor(mode, torch.empty(0, device=_META), _CPU)).copy()
        del pattern["fake_mode"]  # held here, it would never go
        _patterns[mode] = pattern
    return pattern


def fake_over(parameter: nn.Parameter, mode: FakeTensorMode) -> nn.Parameter:
    """What `fake_parameter` makes of a plain one on meta, in its place: over the storage that it has."""
    made = wrapped(parameter, mode, parameter.requires_grad)
    made.__dict__["_is_param"] = True
    return cast(nn.Parameter, made)


def tensors_in(value: object) -> list[torch.Tensor]:
    """Tensors inside nested tuples, lists, mappings, namespaces and dataclasses, in order."""
    found: list[torch.Tensor] = []
    _collect(value, found)
    return found


def _collect(value: object, found: list[torch.Tensor]) -> None:
    if type(value) in _PLAIN:
        return
    if isinstance(value, torch.Tensor):
        found.append(value)
    elif isinstance(value, list | tuple):
        for item in value:
            _collect(item, found)
    elif isinstance(value, Mapping):
        for item in value.values():
            _collect(item, found)
    elif isinstance(value, SimpleNamespace):
        for item in vars(value).values():
            _collect(item, found)
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        # By what it holds: a config may compute, or refuse, an attribute that is asked for.
        held = getattr(value, "__dict__", None)
        for entry in dataclasses.fields(value):
            _collect(getattr(value, entry.name, None) if held is None else held.get(entry.name), found)
