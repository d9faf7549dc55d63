"""What leads to a module without being one: functions, partial calls and weak references, led elsewhere."""

import functools
import types
import weakref
from collections.abc import Callable
from typing import Any

from torch import nn

Change = Callable[[Any], Any]


def is_reference(value: object) -> bool:
    """Whether `redirected` may lead `value` elsewhere."""
    return type(value) in (types.FunctionType, functools.partial, weakref.ref)


def redirected(value: Any, change: Change) -> Any:
    """`value` leading to what `change` makes of each module it leads to; `value` itself if all stay.

    A function is made anew around its code, with cells of its own for what changes and the old ones else.
    """
    if isinstance(value, weakref.ref):
        target = value()
        new = change(target) if isinstance(target, nn.Module) else target
        return value if new is target else weakref.ref(new)
    if isinstance(value, functools.partial):
        return _partial(value, change)
    return _function(value, change) if value.__closure__ else value


def _partial(value: Any, change: Change) -> Any:
    old = (value.func, *value.args, *value.keywords.values())
    new = [change(item) for item in old]
    if all(one is two for one, two in zip(new, old, strict=True)):
        return value
    positional = 1 + len(value.args)
    named = dict(zip(value.keywords, new[positional:], strict=True))
    return functools.partial(new[0], *new[1:positional], **named)


def _function(value: types.FunctionType, change: Change) -> types.FunctionType:
    cells = [_cell(cell, change) for cell in value.__closure__ or ()]
    if all(new is old for new, old in zip(cells, value.__closure__ or (), strict=True)):
        return value
    made = types.FunctionType(
        value.__code__, value.__globals__, value.__name__, value.__defaults__, tuple(cells)
    )
    made.__kwdefaults__ = value.__kwdefaults__
    for name in functools.WRAPPER_ASSIGNMENTS:
        setattr(made, name, getattr(value, name))
    made.__dict__.update(value.__dict__)
    return made


def _cell(cell: types.CellType, change: Change) -> types.CellType:
    try:
        content = cell.cell_contents
    except ValueError:  # nothing in it yet
        return cell
    if not (isinstance(content, nn.Module | types.MethodType) or is_reference(content)):
        return cell
    new = change(content)
    return cell if new is content else types.CellType(new)
