"""Values said so that two can be compared: equal only where a forward that reads them would do the same."""

from __future__ import annotations

import enum
import functools
import hashlib
import types
import weakref
from collections import OrderedDict, deque
from collections.abc import Callable, Hashable
from threading import Lock, RLock
from typing import Any

import torch
from torch import Tensor

from graph.configs import is_config

_PLAIN = frozenset({type(None), bool, int, str, bytes, complex, torch.dtype, torch.device, torch.Size})
_FIXED = (
    type,
    types.BuiltinFunctionType,
    types.ModuleType,
    enum.Enum,
    range,
    slice,
    type(Lock()),
    type(RLock()),
)
_DIGESTED_BYTES = 64_000_000

Known = Callable[[Any], Hashable | None]


class _Plain:
    """As large as an object is that keeps all it has in its `__dict__`."""


class Unsayable(Exception):
    """A value that a forward may read and that cannot be compared."""


def said(value: Any, known: Known, above: tuple[int, ...] = ()) -> Hashable:
    """`value` as something hashable. `known` says modules, configs and whatever else the caller knows.

    Raises Unsayable for what may hold more than can be seen, and for modules that `known` does not know.
    """
    kind = type(value)
    if kind in _PLAIN:
        return (kind, value)
    if kind is float:
        return (kind, value.hex())
    answer = known(value)
    if answer is not None:
        return answer
    if id(value) in above:
        return ("itself", len(above) - above.index(id(value)))
    inside = (*above, id(value))

    def inner(item: Any) -> Hashable:
        return said(item, known, inside)

    if isinstance(value, Tensor):
        return digest(value)
    if kind in (list, tuple, deque) or (isinstance(value, tuple) and hasattr(value, "_fields")):
        return (kind, *map(inner, value))
    if kind in (dict, OrderedDict):
        return (kind, *((inner(key), inner(item)) for key, item in value.items()))
    if kind in (set, frozenset):
        return (kind, frozenset(map(inner, value)))
    if isinstance(value, _FIXED):
        return (kind, value) if getattr(kind, "__hash__", None) and kind is not slice else (kind, repr(value))
    if isinstance(value, types.FunctionType):
        return ("function", *_function(value, inner))
    if isinstance(value, types.MethodType):
        return ("method", inner(value.__func__), inner(value.__self__))
    if isinstance(value, functools.partial):
        return ("partial", inner(value.func), inner(value.args), inner(value.keywords))
    if isinstance(value, weakref.ref):
        return ("weak", inner(value()))
    held = getattr(value, "__dict__", None)
    if isinstance(held, dict) and not is_config(value) and _is_python(kind):
        return (kind, inner(held))
    raise Unsayable(kind.__name__)


def digest(tensor: Tensor) -> Hashable:
    """A tensor by its values: shape, strides, dtype, device and a digest of its bytes."""
    if type(tensor) not in (Tensor, torch.nn.Parameter) or tensor.layout is not torch.strided:
        raise Unsayable(type(tensor).__name__)
    if tensor.is_meta or tensor.numel() * tensor.element_size() > _DIGESTED_BYTES:
        raise Unsayable("a large tensor")
    raw: Any = (
        tensor.detach().resolve_conj().resolve_neg().cpu().contiguous().reshape(-1).view(torch.uint8).numpy()
    )
    place = (tuple(tensor.shape), tensor.stride(), tensor.dtype, tensor.device)
    return ("tensor", *place, hashlib.blake2b(raw, digest_size=16).digest())


def _function(value: types.FunctionType, inner: Callable[[Any], Hashable]) -> tuple[Hashable, ...]:
    """Its code and what it holds; what it reads of its module's globals is left to the code."""
    cells = []
    for cell in value.__closure__ or ():
        try:
            cells.append(inner(cell.cell_contents))
        except ValueError:  # nothing in it yet
            cells.append("empty")
    return (value.__code__, inner(value.__defaults__), inner(value.__kwdefaults__), *cells)


def _is_python(kind: type) -> bool:
    """Whether all that an object of this class holds lies in its `__dict__`: none of it in slots or in C."""
    if kind.__basicsize__ > _Plain.__basicsize__ or kind.__itemsize__:
        return False  # such as random.Random, whose state no attribute shows
    return all(
        base is object or (base.__module__ != "builtins" and not base.__dict__.get("__slots__"))
        for base in kind.__mro__
    )


def same_bits(one: Tensor, two: Tensor) -> bool:
    """Whether two tensors of one shape and dtype are equal bit for bit: −0.0 is not 0.0, NaN is itself."""
    return torch.equal(_bits(one), _bits(two))


def _bits(tensor: Tensor) -> Tensor:
    if tensor.is_complex():
        tensor = torch.view_as_real(tensor.resolve_conj())
    kind = _WHOLE.get(tensor.element_size()) if tensor.is_floating_point() else None
    return tensor if kind is None else tensor.resolve_neg().view(kind)


_WHOLE = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}
