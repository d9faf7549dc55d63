"""What modules held before a trace, so that it can be told whether they hold it still."""

import operator
from collections import deque
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple
from weakref import ProxyTypes

import torch
from torch import nn

from graph.configs import is_config, is_config_class
from graph.layouts import Layout, layout_of
from graph.tracing.unmade import Unmade

_PLAIN = (bool, int, float, complex, str, bytes, type(None), torch.dtype, torch.device)
_ITEMS = (list, set, deque)


class _Held(NamedTuple):
    """What a module holds: its layout, of the containers with what is in them those that are not `hollow`, or
    were not empty then, and configs by id.
    """

    values: list[Any]
    layout: Layout
    names: list[str]
    filled: list[tuple[Any, list[Any]]]
    configs: list[int]


class Contents:
    """The objects that modules hold, and those in the plain holders and the configs that they hold."""

    def __init__(self, modules: Iterable[nn.Module], configs: Iterable[Any]) -> None:
        self.kinds: dict[type, str] = {}
        self.configs: dict[int, tuple[dict[str, Any], list[Any]]] = {}
        self.held: dict[nn.Module, _Held] = {}
        for config in configs:
            self.note(config)
        self.add(modules)

    def add(self, modules: Iterable[nn.Module]) -> None:
        """Take what these modules hold now for what they held before."""
        self.held.update((module, self.of(module)) for module in modules)

    def fill(self, block: nn.Module) -> None:
        """Take the children of a block that had none made for those that it has now."""
        children = block.__dict__["_modules"]
        if block in self.held:
            self.held[block].filled.append((children, list(children.values())))

    def note(self, config: Any) -> None:
        if id(config) not in self.configs:
            inside = object.__getattribute__(config, "__dict__")
            self.configs[id(config)] = inside, list(inside.values())

    def of(self, module: nn.Module) -> _Held:
        held, layout = module.__dict__, layout_of(module)
        names = layout.filled(module)
        filled: list[tuple[Any, list[Any]]] = []
        configs: list[int] = []
        kinds = self.kinds
        for name in (*layout.others, *names):
            value = held[name]
            kind = type(value)
            said = kinds.get(kind) or self.said_of(kind)
            if said == "plain":
                continue
            if said == "mapping":
                if kind is Unmade and value.make is not None:
                    continue
                filled.append((value, list(value.values())))
            elif said == "items":
                filled.append((value, list(value)))
            elif said == "config" or is_config(value):
                configs.append(id(value))
                self.note(value)
        return _Held(list(held.values()), layout, names, filled, configs)

    def said_of(self, kind: type) -> str:
        """What objects of a class are; `other` where each has to be asked."""
        if issubclass(kind, dict):
            said = "mapping"
        elif issubclass(kind, _ITEMS):
            said = "items"
        elif kind in _PLAIN or kind in ProxyTypes:
            said = "plain"
        else:
            said = "config" if is_config_class(kind) else "other"
        self.kinds[kind] = said
        return said

    def are_those_of(self, modules: Sequence[nn.Module], others: Iterable[Any] = ()) -> bool:
        """Whether these modules are known and hold the very objects that they held then.

        So do, besides the configs that they hold, the `others`.
        """
        configs: dict[int, None] = dict.fromkeys(map(id, others))
        for module in modules:
            held = self.held.get(module)
            if held is None:
                return False
            values, layout, names, filled, used = held
            now = module.__dict__.values()
            if len(now) != len(values) or not all(map(operator.is_, values, now)):
                return False
            if layout.filled(module) != names:
                return False
            for holder, items in filled:
                if len(holder) != len(items):
                    return False
                inside = holder.values() if isinstance(holder, dict) else holder
                if not all(map(operator.is_, items, inside)):
                    return False
            configs.update(dict.fromkeys(used))
        for said, values in map(self.configs.__getitem__, configs):
            if len(said) != len(values) or not all(map(operator.is_, values, said.values())):
                return False
        return True
