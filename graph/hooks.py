"""Where torch notes the hooks of a module: dictionaries of every module, empty in most."""

from operator import itemgetter
from typing import Any

from torch import nn

HOOKS: dict[str, type[dict[Any, Any]]] = {
    name: type(value)
    for name, value in nn.Module().__dict__.items()
    if name.endswith("hooks") or "_hooks_" in name
}
"""Their names and classes, as torch makes them."""

_KINDS = tuple(HOOKS.values())
_noted = itemgetter(*HOOKS)


def unhooked(module: nn.Module) -> tuple[dict[Any, Any], ...] | None:
    """The dictionaries if all are there, of torch's own classes and empty; None otherwise."""
    try:
        noted: tuple[dict[Any, Any], ...] = _noted(module.__dict__)
    except KeyError:
        return None
    return None if any(noted) or tuple(map(type, noted)) != _KINDS else noted
