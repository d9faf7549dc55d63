"""Modules that a model also holds outside its tree: in plain lists, dictionaries and attributes, in partial
calls, closures, bound methods and weak references.

Its forward may call them there: replacing or removing them in the tree would then change nothing.
"""

from __future__ import annotations

import types
from collections import OrderedDict, deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from weakref import ProxyTypes

from torch import nn

from graph.configs import is_config_class
from graph.holders import is_holder, slots_of
from graph.layouts import PLAIN, TREE, Layout, layout_of
from graph.references import is_reference, redirected
from graph.tree import Site, module_at, sites
from surgery.edits import (
    Arrange,
    Edit,
    PlaceModule,
    SetAttribute,
    SetBuffer,
    SetConfig,
    SetModule,
    SetTensor,
)
from surgery.errors import SurgeryError

_Leading = tuple[Layout, tuple[str, ...]]
"""A layout and the names of what leads to others in modules of it."""

_MOSTLY_EMPTY = frozenset({dict, OrderedDict, set})
_KNOWN = {Arrange, PlaceModule, SetAttribute, SetBuffer, SetConfig, SetModule, SetTensor}
"""Edits of which it is known what they can change in modules."""

_LONGEST = 4096
"""Items of a container that are looked at: one that holds more holds data."""


Outside = dict[nn.Module, list[tuple[str, nn.Module]]]
"""What modules hold outside the tree, by the name of the attribute; those that were looked at are there."""


def refuse_aliases(
    edits: Sequence[Edit],
    model: nn.Module,
    places: Sequence[Site] | None = None,
    known: Outside | None = None,
) -> None:
    """SurgeryError if an edit would move or replace a module that is held outside the tree too.

    So it is if a part of such a module is held. What a module holds of itself and its own parts goes where it
    goes, and is nobody else's business. `places` are the sites of the model, if they are known. `known` is
    what was found before, if nobody but the edits given then has changed the model since; it is kept so.
    """
    touched = dict(_touched(edits, model))
    known = {} if known is None else known
    held = list(_held_outside(sites(model) if places is None else places, known)) if touched else []
    _forget(edits, model, known)
    if not held:
        return
    around: dict[nn.Module, list[nn.Module]] = {}
    for outer in touched:
        for module in outer.modules():
            around.setdefault(module, []).append(outer)
    for owner, place, module in held:
        for outer in around.get(module, ()):
            if owner is outer or (module is not outer and outer in around.get(owner, ())):
                continue
            part = "" if module is outer else "has a part that "
            raise SurgeryError(
                f"{part}is also held outside the module tree, in {place}, where an edit would not reach it",
                path=touched[outer],
                hint=f"an nn.ModuleList in place of {place}",
            )


def _touched(edits: Sequence[Edit], model: nn.Module) -> Iterator[tuple[nn.Module, str]]:
    for edit in edits:
        if isinstance(edit, Arrange):
            for name, module in module_at(model, edit.path)._modules.items():
                if module is not None:
                    yield module, f"{edit.path}.{name}".lstrip(".")
        elif isinstance(edit, SetModule):
            try:
                yield module_at(model, edit.path), edit.path
            except AttributeError:  # made by an edit before this one
                continue


def _forget(edits: Sequence[Edit], model: nn.Module, known: Outside) -> None:
    """Drops from `known` the modules of which an edit may change what they hold."""
    if not known:
        return
    kinds = {type(edit) for edit in edits}
    others = [edit for edit in edits if isinstance(edit, SetAttribute) and type(edit.value) not in PLAIN]
    arranged = edits[0] if edits and isinstance(edits[0], Arrange) else None
    moves = sum(isinstance(edit, Arrange | PlaceModule) for edit in edits)
    moving = SetModule in kinds and moves > (arranged is not None)
    if others or moving or not kinds <= _KNOWN:
        known.clear()
    for edit in edits if known else ():
        if isinstance(edit, SetModule):
            try:
                inside = sites(_before(model, edit.path, arranged))
            except AttributeError:  # made by an edit before this one
                continue
            for _, module, _, _ in inside:
                known.pop(module, None)


def _before(model: nn.Module, path: str, arranged: Arrange | None) -> nn.Module:
    """The module that is at `path` after that edit, as it is before; AttributeError if there is none yet."""
    if arranged is not None:
        parts, around = path.split("."), arranged.path.split(".") if arranged.path else []
        number = parts[len(around) : len(around) + 1]
        if parts[: len(around)] == around and number:
            if not number[0].isdigit() or int(number[0]) >= len(arranged.order):
                raise AttributeError(path)
            items = list(module_at(model, arranged.path)._modules.values())
            item = items[arranged.order[int(number[0])]]
            if item is None:
                raise AttributeError(path)
            return module_at(item, ".".join(parts[len(around) + 1 :]))
    return module_at(model, path)


def _held_outside(places: Sequence[Site], known: Outside) -> Iterator[tuple[nn.Module, str, nn.Module]]:
    """(owner, place, module) for every module that an attribute leads to past the tree."""
    leads: dict[type, bool] = {}
    looked_at: dict[int, _Leading] = {}
    said: set[nn.Module] = set()
    for owner in [site[1] for site in places if site[1] not in known]:
        known[owner] = list(_held_by(owner, leads, looked_at))
    if not any(known.values()):  # as in most models
        return
    for path, owner, _, _ in places:
        held = known[owner]
        if held and owner not in said:
            said.add(owner)
            for name, module in held:
                yield owner, f"{path}.{name}".lstrip("."), module


def _held_by(
    owner: nn.Module, leads: dict[type, bool], looked_at: dict[int, _Leading]
) -> Iterator[tuple[str, nn.Module]]:
    """(name, module) for what the attributes of `owner` lead to; `looked_at` are the layouts met before."""
    layout = layout_of(owner)
    known = looked_at.get(id(layout))
    if known is None:
        held = owner.__dict__
        names = (name for name in layout.others if name not in TREE and _may_lead(held[name], leads))
        known = looked_at[id(layout)] = layout, tuple(names)
    for name in (*known[1], *layout.filled(owner)):
        value = owner.__dict__[name]
        if (type(value) not in _MOSTLY_EMPTY or value) and _may_lead(value, leads):
            found = _Found(leads)
            found(value)
            for module in found.modules:
                yield name, module


def holding_nothing(layouts: Mapping[nn.Module, Layout]) -> Outside:
    """Those of the modules, which have no hooks, whose layouts say that nothing in them leads to another."""
    leads: dict[type, bool] = {}
    bare: dict[int, bool] = {}
    found: Outside = {}
    for module, layout in layouts.items():
        if id(layout) not in bare:
            held = module.__dict__
            others = (held[name] for name in layout.others if name not in TREE)
            bare[id(layout)] = not any(_may_lead(value, leads) for value in others)
        if bare[id(layout)]:
            found[module] = []
    return found


def _may_lead(value: Any, leads: dict[type, bool]) -> bool:
    """Whether `value` is of a class whose objects lead to others; `leads` remembers which are."""
    kind = type(value)
    if kind not in leads:
        leads[kind] = not (kind in ProxyTypes or is_config_class(kind)) and (
            isinstance(value, nn.Module | types.MethodType) or is_reference(value) or is_holder(value)
        )
    return leads[kind]


@dataclass
class _Found:
    """The modules that values lead to, by the ways on which a shell of the model has its own."""

    leads: dict[type, bool]
    modules: list[nn.Module] = field(default_factory=list)
    seen: set[int] = field(default_factory=set)

    def __call__(self, value: Any) -> Any:
        """Notes the modules and returns `value`: to what leads to modules it is a change of nothing."""
        if id(value) in self.seen or not _may_lead(value, self.leads):
            return value
        self.seen.add(id(value))
        if isinstance(value, nn.Module):
            self.modules.append(value)
        elif isinstance(value, types.MethodType):
            self(value.__self__)
        elif is_reference(value):
            redirected(value, self)
        else:
            for item in _items(value):
                self(item)
        return value


def _items(value: Any) -> Iterable[Any]:
    if isinstance(value, Mapping | list | tuple | set | frozenset | deque):
        if len(value) > _LONGEST:
            return ()
        return list(value.values() if isinstance(value, Mapping) else value)
    slots = [slot.__get__(value) for slot in slots_of(type(value)) if hasattr(value, slot.__name__)]
    return [*getattr(value, "__dict__", {}).values(), *slots]
