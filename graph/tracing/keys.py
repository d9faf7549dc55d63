"""What the run of a block can depend on, in comparable words.

Two runs with equal keys go the same way: blocks of the same structure, holding the very same objects
(a config, a function), called with arguments alike in shape, in which of them are the same tensor, and in
which come from the same call. What can't be said in these words has no key.
"""

import enum
import functools
from collections import Counter
from collections.abc import Container, Iterator, Mapping
from types import BuiltinFunctionType, FunctionType
from typing import Any
from weakref import ProxyTypes

import torch
from torch import nn

from graph.configs import is_config, is_config_class
from graph.layouts import Layout
from graph.repeats import SCHEDULES, drops
from graph.tracing.contents import Contents
from graph.tracing.fakes import tensors_in
from graph.tracing.functions import surroundings
from graph.tracing.recorder import Made, Recorder
from graph.tracing.unmade import Late, Pairs
from graph.tree import children

_PLAIN = (bool, int, float, complex, str, bytes, type(None), torch.dtype, torch.device)
_SIMPLE = frozenset(_PLAIN)
_TOLD = (bool, int, float, str, type(None))
"""What structural hashes tell of public attributes."""
BARE = frozenset(nn.Module().__dict__)
_STEADY = (FunctionType, BuiltinFunctionType, type, enum.Enum)


class Unsayable(Exception):
    """An argument, attribute or output that a copy couldn't answer for."""


class Keys:
    """Keys of the modules of a shell; `alike` are the structural hashes of what they were made from.

    `paths` are all paths of each module by id. Modules that are `unwatched`, by id, have no key.
    """

    def __init__(
        self,
        late: Late,
        alike: Mapping[nn.Module, str],
        recorder: Recorder,
        paths: dict[int, list[str]],
        unwatched: Container[int],
    ) -> None:
        self.late, self.structures, self.recorder = late, alike, recorder
        self.paths, self.unwatched = paths, unwatched
        self.source_of, self.census = late.source_of, late.census
        self.names: dict[int, tuple[str, ...]] = {}
        self.alike = Counter(map(alike.__getitem__, self.census.paths))
        self.numbers: dict[Any, int] = late.numbers
        self.foreign: dict[nn.Module, int | None] = {}
        for inside in late.insides.values():
            self.foreign.update(inside.numbers)
        self.trees: dict[nn.Module, tuple[nn.Module, ...]] = {}
        known = (new for new, old in self.source_of.items() if self.alike[alike[old]] > 1)
        self.at_first = Contents(known, late.configs())

    def take(self, block: nn.Module, made: Pairs) -> None:
        """Know what was made in a block on the way: it is as it was at first."""
        self.at_first.add(new for new, old in made if self.alike[self.structures[old]] > 1)
        self.at_first.fill(self.late.memo[id(block)])

    def key(self, module: nn.Module, given: Any) -> Any:
        """What the run of `module` on `given` can depend on; None if that can't be said."""
        made_like = self.structures[self.source_of[module]]
        if self.alike[made_like] < 2:
            return None
        try:
            around = surroundings()
            if around is None or not self.is_as_at_first(module):
                return None
            tied = self.census.tied_within(self.tree(module))
            return made_like, self.objects(module), tied, around, self.arguments(given)
        except Unsayable:
            return None

    def tree(self, module: nn.Module) -> tuple[nn.Module, ...]:
        """What the modules at and below it before the trace were made from, each once, parents first."""
        source = self.source_of[module]
        if source not in self.trees:
            self.trees[source] = self.census.tree(source)
        return self.trees[source]

    def is_as_at_first(self, module: nn.Module) -> bool:
        """Whether the modules of the tree hold the very objects that they held before the trace."""
        late, source = self.late, self.source_of[module]
        if source in late.unmade:
            return self.at_first.are_those_of([module], late.insides[source].configs)
        made, configs = [], []
        for below in self.tree(module):
            if below in late.unmade:
                configs += late.insides[below].configs
            if late.has_made(below):
                made.append(late.memo[id(below)])
        return self.at_first.are_those_of(made, configs)

    def objects(self, module: nn.Module) -> int:
        """A number for what the tree of `module` holds besides modules, tensors and public scalars.

        Such as a config: two blocks have the same number if they hold the very same objects.
        """
        for below in reversed(self.tree(module)):  # a reused one has no number, nor what is around it
            if below in self.foreign:
                continue
            try:
                new = self.late.memo[id(below)]
                held = tuple(self.held(new)), tuple(self.objects_below(new)) if new._modules else ()
                self.foreign[below] = self.numbers.setdefault(held, len(self.numbers))
            except Unsayable:
                self.foreign[below] = None
        number = self.foreign[self.source_of[module]]
        if number is None:
            raise Unsayable
        return number

    def objects_below(self, module: nn.Module) -> Iterator[int]:
        source = self.source_of[module]
        if source in self.late.insides:
            yield from self.late.insides[source].below
            return
        for _, child in children(module):
            number = self.foreign.get(self.source_of[child]) if child in self.source_of else None
            if number is None:
                raise Unsayable
            yield number

    def held(self, module: nn.Module) -> Iterator[Any]:
        if len(self.paths.get(id(module), ())) != 1 or module._forward_hooks or module._forward_pre_hooks:
            raise Unsayable
        if id(module) in self.unwatched:
            raise Unsayable
        forward = module.__dict__["forward"].__wrapped__
        if getattr(forward, "__self__", None) is not module:  # a method of another one, put there
            raise Unsayable
        if (function := getattr(forward, "__func__", None)) is not type(module).forward:
            yield "forward", id(function)
        dropping = drops(module)
        for name in self.names_of(self.at_first.held[module].layout):
            value = module.__dict__[name]
            if type(value) not in _SIMPLE and not isinstance(value, _PLAIN):
                yield name, said_of(value)
            elif name.startswith("_") or not isinstance(value, _TOLD) or (name in SCHEDULES and not dropping):
                yield name, type(value), value

    def names_of(self, layout: Layout) -> tuple[str, ...]:
        """What torch does not give every module, less public plain values that are no schedules."""
        names = self.names.get(id(layout))
        if names is None:
            telling = (name for name in layout.plain if name.startswith("_") or name in SCHEDULES)
            found = (name for name in (*layout.others, *telling) if name not in BARE and name != "forward")
            names = self.names[id(layout)] = tuple(found)
        return names

    def arguments(self, given: Any) -> tuple[Any, ...]:
        """Arguments as comparable values; tensors by shape, by which are the same, by producer."""
        words: list[Any] = []
        self.say(given, words, {}, {})
        return tuple(words)

    def say(
        self, value: Any, words: list[Any], tensors: dict[int, int], origins: dict[Made | None, int]
    ) -> None:
        """Append the words for an argument."""
        kind = type(value)
        if kind in _SIMPLE:  # most
            words.append((kind, value))
        elif isinstance(value, torch.Tensor):
            if id(value) in self.recorder.state or getattr(value, "constant", None) is not None:
                raise Unsayable
            same = tensors.setdefault(id(value), len(tensors))
            producer = self.recorder.source(value)
            origin = origins.setdefault(producer, len(origins))
            layout = tuple(value.shape), value.stride(), value.dtype
            words.append(("tensor", same, origin, producer is None, layout))
        elif isinstance(value, _PLAIN):
            words.append((kind, value))
        elif kind is list or kind is tuple:
            words.append((kind, len(value)))
            for item in value:
                self.say(item, words, tensors, origins)
        elif kind is dict:
            words.append((dict, tuple(value)))
            for item in value.values():
                self.say(item, words, tensors, origins)
        else:
            raise Unsayable


def said_of(value: Any) -> Any:
    """An attribute in comparable words: by value where it is data, by identity where it doesn't change."""
    if is_config_class(type(value)):  # a config is slow to ask for anything
        return id(value)
    if type(value) in ProxyTypes:
        raise Unsayable
    if isinstance(value, _PLAIN):
        return type(value), value
    if isinstance(value, list | tuple):
        return type(value), tuple(map(said_of, value))
    if isinstance(value, dict):
        return type(value), tuple((said_of(key), said_of(item)) for key, item in value.items())
    if isinstance(value, set | frozenset):
        return type(value), frozenset(map(said_of, value))
    if isinstance(value, functools.partial):
        return said_of(value.func), said_of(value.args), said_of(value.keywords)
    if isinstance(value, _STEADY) or is_config(value):
        return id(value)
    if tensors_in(value) or not isinstance(value, torch.layout | torch.memory_format):
        raise Unsayable
    return value
