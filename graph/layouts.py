"""How the attributes of a module lie: most are plain values, and dictionaries for hooks that it hasn't.

Modules of a class mostly hold the same names with values of the same classes; for those it is found out
once which of them are worth a look.
"""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

from torch import nn

PLAIN = frozenset({type(None), bool, int, float, str})
"""Classes of most of what modules hold."""

TREE = frozenset({"_modules", "_parameters", "_buffers"})
"""Names of what a module is made of."""

MOST = 10_000
"""So many layouts are remembered; then all are forgotten."""

_TORCHS_OWN = frozenset(nn.Module().__dict__)
_HOLLOW = frozenset({dict, OrderedDict, set})
_known: dict[tuple[tuple[str, ...], tuple[type, ...]], "Layout"] = {}


@dataclass(frozen=True, slots=True)
class Layout:
    """The attributes of a module: names of the `plain` ones and of the others, in order.

    `hollow` are containers of torch's own, empty in most modules, by name with the class that makes another;
    `others` the rest.
    """

    plain: tuple[str, ...]
    hollow: dict[str, Callable[[], Any]]
    others: tuple[str, ...]
    public: tuple[str, ...]
    """Names that torch does not give every module and that do not begin with `_`, sorted."""
    hollow_in: Callable[[dict[str, Any]], tuple[Any, ...]]
    """The hollow containers in the attributes of a module of this layout."""

    def filled(self, module: nn.Module) -> list[str]:
        """Names of the hollow ones that are not empty in `module`."""
        held = module.__dict__
        if not any(self.hollow_in(held)):
            return []
        return [name for name in self.hollow if held[name]]


def _getter(*names: str) -> Callable[[dict[str, Any]], tuple[Any, ...]]:
    if len(names) > 1:
        return itemgetter(*names)
    return lambda held: tuple(held[name] for name in names)


def layout_of(module: nn.Module) -> Layout:
    """The layout of the attributes of `module` as they are."""
    held = module.__dict__
    key = tuple(held), tuple(map(type, held.values()))
    found = _known.get(key)
    if found is None:
        if len(_known) >= MOST:
            _known.clear()
        hollow: dict[str, Callable[[], Any]] = {
            name: kind
            for name, kind in zip(*key, strict=True)
            if kind in _HOLLOW and name in _TORCHS_OWN and name not in TREE
        }
        plain = tuple(name for name, kind in zip(*key, strict=True) if kind in PLAIN)
        others = tuple(name for name in key[0] if name not in hollow and name not in plain)
        names = (name for name in key[0] if isinstance(name, str) and name not in _TORCHS_OWN)
        public = tuple(sorted(name for name in names if not name.startswith("_")))
        found = _known[key] = Layout(plain, hollow, others, public, _getter(*hollow))
    return found
