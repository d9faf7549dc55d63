"""What a folder cannot hold: hooks somebody registered, and the dtype of buffers no checkpoint stores."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import nn

from surgery.checkpoint.proof import cast_buffers

_HOOKS = ("_forward_pre_hooks", "_forward_hooks", "_backward_pre_hooks", "_backward_hooks")
_SHOWN = 3


def unkept(model: nn.Module, made: nn.Module) -> list[str]:
    """A sentence for each kind of thing that `model` has and `made`, which is how it loads again, has not."""
    told = []
    if cast := cast_buffers(model, made):
        told.append(
            f"{_listed(cast)}: had been cast with the weights; no checkpoint stores such buffers, so a "
            "reloaded model has them in the dtype its class gives them and its outputs differ by rounding."
        )
    if hooked := _hooked(model, made):
        told.append(
            f"{_listed(hooked)}: hooks that were registered there are code, which no folder holds; "
            "a reloaded model runs without them."
        )
    return told


def _hooked(model: nn.Module, made: nn.Module) -> list[str]:
    """Paths with more hooks than the model made anew has there; those of transformers' own do not count."""
    there = {path: len(_hooks(module)) for path, module in made.named_modules(remove_duplicate=False)}
    return [
        path or "(root)"
        for path, module in model.named_modules(remove_duplicate=False)
        if len(_hooks(module)) > there.get(path, 0)
    ]


def _hooks(module: nn.Module) -> list[Callable[..., Any]]:
    found = [hook for kind in _HOOKS for hook in getattr(module, kind).values()]
    return [hook for hook in found if not str(getattr(hook, "__module__", "")).startswith("transformers.")]


def _listed(paths: list[str]) -> str:
    shown = ", ".join(paths[:_SHOWN])
    return shown if len(paths) <= _SHOWN else f"{shown} and {len(paths) - _SHOWN} more"
