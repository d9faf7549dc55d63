"""Which blocks may be made without what lies in them: of many alike ones most are never run.

What such a block holds must not change unseen before it is made. So nothing in it is shared with anybody who
could change it: modules that hold but tensors, plain values, functions and configs.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import BuiltinFunctionType, FunctionType
from typing import Any

import torch
from torch import nn

from graph.configs import is_config_class
from graph.holders import slots_of
from graph.layouts import TREE, Layout
from graph.repeats import PLACES, SCHEDULES, drops
from graph.shell import foreign
from graph.tracing.census import Census
from graph.tracing.places import looks_elsewhere
from graph.tree import Site

FEWEST = 3
"""Of so many alike blocks one may never be run: two are, and then copied."""

_WORDS = frozenset({bool, int, float, complex, str, bytes, type(None), torch.dtype, torch.device, torch.Size})
_NO_CONFIGS = (nn.Module, torch.Tensor, type)
_TENSORS = frozenset({nn.Parameter, torch.Tensor})
_TORCHS_OWN = frozenset(nn.Module().__dict__)
_NOTHING: tuple[Any, ...] = ((), ())


@dataclass(frozen=True, slots=True)
class Inside:
    """What lies in a block that need not be made: places, and the configs that the modules there hold.

    `numbers` are equal for modules that hold the same besides modules, tensors and public scalars, and below
    which the same is held; `below` are those of the block's children.
    """

    sites: Sequence[Site]
    configs: list[Any] = field(default_factory=list)
    numbers: dict[nn.Module, int] = field(default_factory=dict)
    below: list[int] = field(default_factory=list)


def insides(
    census: Census, alike: Mapping[nn.Module, str], numbers: dict[Any, int]
) -> dict[nn.Module, Inside]:
    """The insides of blocks that need not be made before these are run, by block; none lies in another.

    `alike` are the structural hashes of the modules; `numbers` are those given so far, and are added to.
    """
    found: dict[nn.Module, Inside] = {}
    counted = Counter([alike[module] for module in census.paths])
    looked, stop = _Looked(census, numbers), 0
    for index, (_, module, _, _) in enumerate(census.places):
        if index >= stop and module._modules and counted[alike[module]] >= FEWEST:
            inside = looked.inside(index, module)
            if inside is not None:
                found[module], stop = inside, census.ends[index]
    return found


@dataclass(frozen=True, slots=True)
class _Kind:
    """Modules of a class with a layout: whether they may hold things unseen, and names worth a look."""

    layout: Layout
    simple: bool
    names: tuple[str, ...]


class _Looked:
    def __init__(self, census: Census, numbers: dict[Any, int]) -> None:
        self.census, self.numbers = census, numbers
        self.kinds: dict[tuple[type, int], _Kind] = {}

    def inside(self, index: int, block: nn.Module) -> Inside | None:
        if len(self.census.paths[block]) > 1 or type(block._modules) is not dict:
            return None
        if isinstance(block, nn.MultiheadAttention) or foreign(block) or not _is_plain(type(block)):
            return None
        inside = Inside(self.census.below(index))
        for _, module, _, _ in reversed(inside.sites):  # children before what holds them
            if not self.number(module, inside):
                return None
        held = [child for child in block._modules.values() if child is not None]
        if not all(map(inside.numbers.__contains__, held)):  # a compiled one, or what holds the block
            return None
        inside.below.extend(map(inside.numbers.__getitem__, held))
        return inside

    def number(self, module: nn.Module, inside: Inside) -> bool:
        """Give `module` its number; False if what it holds may change unseen."""
        layout = self.census.layout(module)
        kind = self.kinds.get((type(module), id(layout)))
        if kind is None:
            kind = self.kinds[type(module), id(layout)] = _kind(module, layout)
        held = module.__dict__
        if not kind.simple or len(self.census.paths[module]) > 1 or any(layout.hollow_in(held)):
            return False
        if module in self.census.held:
            for tensors in (held["_parameters"], held["_buffers"]):
                for tensor in tensors.values() if tensors else ():
                    if tensor is not None and not _is_ordinary(tensor):
                        return False
        said = []
        for name in kind.names:
            word = _word(held[name], inside.configs)
            if word is None:
                return False
            said.append((name, word))
        below = []
        for child in held["_modules"].values() if held["_modules"] else ():
            if child is not None:
                number = inside.numbers.get(child)
                if number is None:  # what holds it, or a compiled one
                    return False
                below.append(number)
        key = (tuple(said), tuple(below)) if said or below else _NOTHING
        inside.numbers[module] = self.numbers.setdefault(key, len(self.numbers))
        return True


def _kind(module: nn.Module, layout: Layout) -> _Kind:
    cls = type(module)
    held = module.__dict__
    places = set(PLACES & held.keys())
    simple = (
        foreign(module) is None
        and "forward" not in held
        and "training" in held
        and all(type(held.get(name)) is dict for name in TREE)
        and _is_plain(cls)
        and not slots_of(cls)
        and not (places and looks_elsewhere(cls, places))
    )
    names = [name for name in layout.others if name not in TREE]
    # Public numbers and texts are part of the structure; a place is looked for elsewhere, and counted.
    names += [name for name in layout.plain if name not in layout.public or name in SCHEDULES]
    left_out = _TORCHS_OWN | places | (SCHEDULES if drops(module) else set())
    return _Kind(layout, simple, tuple(name for name in names if name not in left_out))


def _is_plain(cls: type) -> bool:
    """Whether another object of the class can be made, and has attributes as any."""
    try:
        object.__new__(cls)
    except TypeError:
        return False
    looked_up: object = cls.__getattribute__
    return looked_up is object.__getattribute__


def _is_ordinary(tensor: torch.Tensor) -> bool:
    if type(tensor) not in _TENSORS or tensor.layout != torch.strided:
        return False
    return not (tensor.is_quantized or tensor.is_nested)


def _word(value: Any, configs: list[Any]) -> Any:
    """A comparable word for what can't change, or is a config; None for anything else."""
    kind = type(value)
    if kind in _WORDS:
        return kind, value
    if is_config_class(kind) and not issubclass(kind, _NO_CONFIGS):
        if not any(value is known for known in configs):
            configs.append(value)
        return id(value)
    if kind is FunctionType and not value.__closure__:
        return id(value)
    if kind is tuple:
        words = tuple(_WORDS.issuperset([type(item)]) and (type(item), item) for item in value)
        return None if False in words else (kind, words)
    if kind is BuiltinFunctionType or kind is type:
        return id(value)
    return None
