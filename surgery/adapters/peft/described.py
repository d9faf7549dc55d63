"""A module as data: its class and plain attributes, of which one without values can be made anywhere."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from importlib import import_module
from typing import Any

import torch
from torch import nn

_PLAIN = (bool, int, float, str, type(None))


def description(module: nn.Module) -> str | None:
    """The module as JSON; None for one with modules or buffers inside, or of a class made in a function."""
    cls = type(module)
    parameters = module._parameters
    if (
        module._modules
        or module._buffers
        or "<locals>" in cls.__qualname__
        or not any(item is not None for item in parameters.values())
    ):
        return None
    held = {
        name: None if item is None else [list(item.shape), str(item.dtype).removeprefix("torch.")]
        for name, item in parameters.items()
    }
    told = {
        name: value
        for name, value in module.__dict__.items()
        if not name.startswith("_") and name != "training" and _is_plain(value)
    }
    if "_reversed_padding_repeated_twice" in module.__dict__:  # what a convolution pads by
        told["_reversed_padding_repeated_twice"] = module.__dict__["_reversed_padding_repeated_twice"]
    return json.dumps({"class": [cls.__module__, cls.__qualname__], "parameters": held, "attributes": told})


def standing_in(text: str, values: Mapping[str, torch.Tensor] | None = None) -> nn.Module:
    """The module that a description tells of, in eval mode, with these parameters.

    Without values they are zeros that take no memory, whatever their shape.
    """
    data = json.loads(text)
    made: nn.Module = object.__new__(_class(*data["class"]))
    nn.Module.__init__(made)
    made.__dict__["training"] = False
    for name, value in data["attributes"].items():
        made.__dict__[name] = _tuples(value)
    for name, told in data["parameters"].items():
        if told is None:
            made._parameters[name] = None
            continue
        value = None if values is None else values[name]
        if value is None:
            value = torch.zeros((), dtype=getattr(torch, told[1]), device="cpu").expand(told[0])
        made._parameters[name] = nn.Parameter(value, requires_grad=False)
    return made


def parameter_names(text: str) -> tuple[str, ...]:
    """The names of the parameters that the module has."""
    return tuple(name for name, told in json.loads(text)["parameters"].items() if told is not None)


@cache
def _class(module: str, name: str) -> type[nn.Module]:
    found: Any = import_module(module)
    for part in name.split("."):
        found = getattr(found, part)
    assert isinstance(found, type) and issubclass(found, nn.Module)
    return found


def _is_plain(value: Any) -> bool:
    if isinstance(value, list | tuple):
        return all(_is_plain(item) for item in value)
    return isinstance(value, _PLAIN)


def _tuples(value: Any) -> Any:
    return tuple(_tuples(item) for item in value) if isinstance(value, list) else value
