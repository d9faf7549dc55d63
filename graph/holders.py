"""Copies of what holds tensors: containers, named tuples, dataclasses, namespaces, mappings of any class.

A copy has the class of the original and runs none of its constructors. A holder that contains itself is
copied into one that contains itself.
"""

import copy
import dataclasses
import types
from collections import OrderedDict, deque
from collections.abc import Callable, Mapping
from enum import Enum
from typing import Any

import torch
from torch import nn

Change = Callable[[Any], Any]

_PLAIN = frozenset({type(None), bool, int, float, str, bytes, torch.dtype, torch.device, torch.Size})
_NESTED = 4
"""Objects within objects that `map_tensors` looks into: a cache has layers, which have tensors."""

_HEAP = 1 << 9
"""The flag of classes that Python code made."""

_KNOWN = (dict, list, tuple, set, frozenset, deque, types.SimpleNamespace)
_NO_HOLDERS = (type, nn.Module, torch.Tensor, Enum)


class NotCopied(Exception):
    """The class of an object lets no copy of it be made this way."""


def is_holder(value: object) -> bool:
    """Whether `copied` knows how to copy `value`."""
    if type(value) in _PLAIN or isinstance(value, _NO_HOLDERS):
        return False
    return isinstance(value, _KNOWN) or dataclasses.is_dataclass(value) or isinstance(value, Mapping)


def copied(value: Any, change: Change, note: Change) -> Any:
    """A holder like `value` whose items are what `change` makes of them.

    Of what cannot be written into, such as a tuple, `value` itself if no item changed. `note` is given each
    copy that may contain itself before its items are made. Raises NotCopied for a class with ways of its own.
    """
    kind: Any = type(value)
    if kind in (dict, OrderedDict, list):
        made = kind()
        note(made)
        if kind is list:
            made.extend(map(change, value))
        else:
            for key, item in value.items():
                made[key] = change(item)
        return made
    if isinstance(value, tuple | frozenset):
        return _frozen(value, change)
    if kind is set:
        return set(map(change, value))
    if isinstance(value, set):
        raise NotCopied
    if isinstance(value, list | deque | Mapping):
        return _of_own_class(value, change, note)
    if dataclasses.is_dataclass(value) and kind.__dataclass_params__.frozen:
        return _frozen_dataclass(value, change)
    return object_like(value, change, note)


def _frozen(value: Any, change: Change) -> Any:
    kind, items = type(value), [change(item) for item in value]
    if all(new is old for new, old in zip(items, value, strict=True)):
        return value
    if kind in (tuple, frozenset):
        return kind(items)
    if isinstance(value, frozenset):
        raise NotCopied
    try:
        made = tuple.__new__(kind, items)  # past the constructor, which wants an argument per field
    except TypeError:  # one that C defines, as torch returns some
        return kind(items)
    if hasattr(value, "__dict__"):
        made.__dict__.update(value.__dict__)
    return made


def _of_own_class(value: Any, change: Change, note: Change) -> Any:
    try:
        made = copy.copy(value)
        items = list(value.items() if isinstance(value, Mapping) else enumerate(value))
    except Exception as error:
        raise NotCopied from error
    note(made)
    for key, item in items:
        new = change(item)
        if new is not item:
            try:
                made[key] = new
            except Exception as error:
                raise NotCopied from error
    return made


def _frozen_dataclass(value: Any, change: Change) -> Any:
    changed = False

    def watched(item: Any) -> Any:
        nonlocal changed
        new = change(item)
        changed = changed or new is not item
        return new

    made = object_like(value, watched, lambda made: made)
    return made if changed else value


def object_like(value: Any, change: Change, note: Change) -> Any:
    """An object of the same class with the same attributes and slots, each changed; no constructor runs.

    Raises NotCopied for an object whose class does not have the layout of a plain one.
    """
    kind: Any = type(value)
    try:
        made = kind.__new__(kind) if isinstance(value, types.SimpleNamespace) else object.__new__(kind)
    except TypeError as error:
        raise NotCopied from error
    note(made)
    for name, item in list(getattr(value, "__dict__", {}).items()):
        made.__dict__[name] = change(item)
    fill_slots(made, value, change)
    return made


def fill_slots(made: object, value: object, change: Change) -> None:
    """Put into the slots of `made` what `change` makes of what those of `value`, of the same class, hold."""
    for slot in slots_of(type(value)):
        try:
            item = slot.__get__(value)
        except AttributeError:  # nothing in it
            continue
        slot.__set__(made, change(item))


def slots_of(kind: type) -> tuple[Any, ...]:
    """The slots of a class and of those above it, as descriptors."""
    return tuple(
        held
        for above in kind.__mro__
        if "__slots__" in vars(above)
        for held in vars(above).values()
        if isinstance(held, types.MemberDescriptorType)
    )


def map_tensors(value: Any, change: Callable[[torch.Tensor], torch.Tensor], *, objects: bool = False) -> Any:
    """`value` with each tensor in its holders changed, in copies of these; the rest as it is.

    One tensor at several places is changed once. With `objects` those of any other class are copied too
    if there is a tensor in them. A mapping that refuses to be copied becomes a dict.
    """
    if isinstance(value, torch.Tensor):
        return change(value)
    return _Mapped(change, objects)(value)


class _Mapped:
    def __init__(self, change: Callable[[torch.Tensor], torch.Tensor], objects: bool) -> None:
        self.change, self.objects = change, objects
        self.memo: dict[int, Any] = {}
        self.kept: list[Any] = []  # so that no id is used twice
        self.tensors = self.depth = 0

    def __call__(self, value: Any) -> Any:
        if type(value) in _PLAIN:
            return value
        if id(value) not in self.memo:
            made = self.made(value)
            self.note(value, made)
        return self.memo[id(value)]

    def note(self, value: Any, made: Any) -> None:
        self.memo[id(value)] = made
        self.kept.append(value)

    def made(self, value: Any) -> Any:
        if isinstance(value, torch.Tensor):
            self.tensors += 1
            return self.change(value)

        def note(made: Any) -> None:
            self.note(value, made)

        if is_holder(value):
            try:
                return copied(value, self, note)
            except NotCopied:
                if isinstance(value, Mapping):
                    return {key: self(item) for key, item in value.items()}
                return value
        if self.objects and self.depth < _NESTED and _is_object(value):
            before, self.depth = self.tensors, self.depth + 1
            try:
                made = object_like(value, self, note)
            except NotCopied:
                return value
            finally:
                self.depth -= 1
            return made if self.tensors > before else value
        return value


def _is_object(value: object) -> bool:
    """Whether `value` has attributes and its class was defined by Python code."""
    kind = type(value)
    if isinstance(value, _NO_HOLDERS) or not kind.__flags__ & _HEAP:
        return False
    return bool(getattr(value, "__dict__", None) or slots_of(kind))
