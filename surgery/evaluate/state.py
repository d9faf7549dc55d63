"""What forwards leave behind in modules: counts, running means, caches."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from typing import Any

from torch import Tensor, nn

from graph.configs import is_config
from surgery.evaluate.tape.signature import place_of
from surgery.evaluate.tape.values import Unsayable, digest, said

_TORCHS_OWN = frozenset(nn.Module().__dict__)


def state(modules: Iterable[nn.Module]) -> Hashable:
    """The modules as they are now: equal later if none of them, each by itself, was written into.

    Buffers by their values, parameters by memory and version, attributes by what can be said of them; what
    cannot be compared is left out. Modules, configs and hooks among the attributes are not looked into.
    """
    return tuple(_held(module) for module in modules)


def _held(module: nn.Module) -> Hashable:
    attributes = {
        name: value
        for name, value in module.__dict__.items()
        if name not in _TORCHS_OWN and not hasattr(value, "taped")
    }
    return (
        tuple((name, _said(value, digest)) for name, value in module._buffers.items()),
        tuple((name, _said(value, place_of)) for name, value in module._parameters.items()),
        tuple((name, _said(value, lambda value: said(value, _known))) for name, value in attributes.items()),
    )


def _said(value: Any, say: Callable[[Any], Hashable]) -> Hashable:
    try:
        return None if value is None else say(value)
    except Unsayable:
        return "not compared"


def _known(value: Any) -> Hashable | None:
    if isinstance(value, nn.Parameter):
        return place_of(value)
    if isinstance(value, nn.Module) or (not isinstance(value, Tensor) and is_config(value)):
        return ("known by what it is", id(value))
    return None
