"""Whether a model made anew from config and script is built like the one that is saved."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import nn

from surgery.checkpoint.structure import dtype_of, from_config
from surgery.families import model_type
from surgery.fingerprint import scalars
from surgery.windows import narrowed


def why_not_plain(model: nn.Module) -> str | None:
    """Why transformers alone cannot load `model` from its config; None if it is proved that it can.

    The class is rebuilt from the config and compared with the model: see `first_difference`.
    """
    if model_type(model) is None:
        return f"{type(model).__name__} is no transformers model"
    return first_difference(model, from_own_config(model))


def from_own_config(model: nn.Module) -> nn.Module:
    """What transformers makes of the config of `model`, parameters on meta."""
    config: Any = model.config
    return from_config(type(model).__name__, config.to_dict() | {"dtype": dtype_of(model)})


def why_not_cast(model: nn.Module, made: nn.Module) -> str | None:
    """Why transformers alone would not make all buffers as its steps `made` them; None if it would.

    For a model of which `why_not_plain` has found nothing: buffers that are not stored, and that a step cast.
    """
    odd = cast_buffers(made, from_own_config(model))
    return f"{odd[0]}, which no checkpoint stores, was cast" if odd else None


def first_difference(model: nn.Module, made: nn.Module) -> str | None:
    """Where `made` is not built like `model`, in words; None if it is.

    Compared are module classes, scalar attributes, names, shapes, dtypes and ties of stored tensors, and
    the values of buffers that are not stored, up to a cast of these: see `cast_buffers`. `model` may have
    run, and `made` did not.
    """
    mine, theirs, run = _described(model), _described(made), _described(made, narrowed)
    for path in mine:
        if path not in theirs:
            return f"{path} is not what {type(model).__name__} has there"
        if mine[path] not in (theirs[path], run[path]):
            return f"{path} is {mine[path]}, and made anew it would be {theirs[path]}"
    if missing := next((path for path in theirs if path not in mine), None):
        return f"{missing} is missing"
    for path, buffer, other in _unstored(model, made):
        if other is None or not torch.equal(buffer, other.to(buffer.dtype)):
            return f"{path}, which no checkpoint stores, has values of its own"
    return None


def cast_buffers(model: nn.Module, made: nn.Module) -> list[str]:
    """Buffers that are not stored and were cast with the model; a reload has them in their own dtype."""
    return [
        path
        for path, buffer, other in _unstored(model, made)
        if other is not None and buffer.dtype != other.dtype
    ]


def _described(
    model: nn.Module, settled: Callable[[nn.Module], dict[str, int]] = lambda _: {}
) -> dict[str, str]:
    """Every module with its class and scalars, every tensor with shape, dtype and first path of its tie.

    `settled` gives the scalars of a module that count instead of those it has.
    """
    found: dict[str, str] = {}
    for path, module in model.named_modules(remove_duplicate=False):
        found[path or "(root)"] = type(module).__name__
        for name, value in (scalars(module) | settled(module)).items():
            found[f"{path}: {name}".removeprefix(": ")] = repr(value)
    first: dict[int, str] = {}
    for path, tensor in model.state_dict(keep_vars=True).items():
        site = first.setdefault(id(tensor), path)
        tied = f", tied to {site}" if site != path else ""
        found[path] = f"{list(tensor.shape)} {tensor.dtype}{tied}"
    return found


def _unstored(model: nn.Module, made: nn.Module) -> Iterator[tuple[str, torch.Tensor, torch.Tensor | None]]:
    """The buffers of `model` that no state_dict holds, with those of `made` at the same paths."""
    others = dict(made.named_buffers(remove_duplicate=False))
    for path, module in model.named_modules(remove_duplicate=False):
        for name, buffer in module._buffers.items():
            if buffer is not None and name in module._non_persistent_buffers_set:
                full = f"{path}.{name}".lstrip(".")
                yield full, buffer, others.get(full)
