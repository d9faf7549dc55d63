"""Watching whether a block asks where it sits: two alike blocks that ask may answer differently."""

import sys
from typing import Any
from weakref import WeakKeyDictionary

from torch import nn

from graph.repeats import PLACES

_reading: WeakKeyDictionary[type, bool] = WeakKeyDictionary()
_LOOKUP = nn.Module.__getattr__.__code__


class Places:
    """Counts reads of attributes such as `layer_idx` on the modules it watches.

    Their classes stay what they are. The attribute moves from where Python looks first to where torch looks
    for what Python didn't find, among the module's parameters, which then count. `unwatched` are modules, by
    id, whose class has a way of its own to find attributes. For shells that are thrown away.
    """

    def __init__(self) -> None:
        self.reads = 0
        self.unwatched: set[int] = set()

    def watch(self, module: nn.Module) -> None:
        """Count every read of `module`'s place from now on."""
        if not any(map(module.__dict__.__contains__, PLACES)):
            return
        names = set(PLACES & module.__dict__.keys())
        if looks_elsewhere(type(module), names):
            self.unwatched.add(id(module))
            return
        places = {name: module.__dict__.pop(name) for name in names}
        module.__dict__["_parameters"] = _Watched(module._parameters, places, self)


class _Watched(dict[str, Any]):
    """Parameters of a module, among which its places are found when torch looks for them, and only then."""

    def __init__(self, parameters: dict[str, Any], places: dict[str, Any], seen: Places) -> None:
        super().__init__(parameters)
        self.places, self.seen = places, seen

    def __contains__(self, name: object) -> bool:
        if name not in self.places:
            return super().__contains__(name)
        self.seen.reads += 1
        # Torch also asks before it sets an attribute, and would take a place for a parameter.
        return sys._getframe(1).f_code is _LOOKUP

    def __missing__(self, name: str) -> Any:
        return self.places[name]


def looks_elsewhere(kind: Any, names: set[str]) -> bool:
    """Whether an attribute of these names that an instance lacks is found in another way than torch's."""
    own = (
        kind.__getattr__ is not nn.Module.__getattr__ or kind.__getattribute__ is not object.__getattribute__
    )
    return own or _reads_dictionaries(kind) or any(hasattr(kind, name) for name in names)


def _reads_dictionaries(kind: type) -> bool:
    """Whether a method of the class looks into `__dict__`, where a place that moved isn't found."""
    if kind not in _reading:
        codes = (getattr(held, "__code__", None) for above in kind.__mro__ for held in _of_its_own(above))
        _reading[kind] = any({"__dict__", "vars"} & set(code.co_names) for code in codes if code is not None)
    return _reading[kind]


def _of_its_own(kind: type) -> list[object]:
    return [] if kind in (nn.Module, object) else list(vars(kind).values())
