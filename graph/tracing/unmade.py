"""A shell whose blocks are made without what lies in them; that is made when somebody asks for it.

Of many alike blocks most are never run, for they are copied from two that are (see `memo`): what lies in
them need not be filled with fakes, wrapped and remembered. Which blocks these may be, `insides` says.
"""

import contextlib
import functools
from collections.abc import Callable, Container, Iterator, Mapping
from typing import Any

import torch
from torch import nn
from torch._functorch.pyfunctorch import temporarily_clear_interpreter_stack
from torch.utils._python_dispatch import _disable_current_modes

from graph.configs import config_like
from graph.paths import is_below
from graph.shell import Maker
from graph.tracing.census import Census
from graph.tracing.fakes import resting
from graph.tracing.insides import insides
from graph.tree import own_tensors

Parameter = Callable[[nn.Parameter], nn.Parameter]
Buffer = Callable[[torch.Tensor], torch.Tensor]
Pairs = list[tuple[nn.Module, nn.Module]]
"""Modules that were made, each with the one that it was made from."""


class Unmade(dict[str, Any]):
    """The children of a block, none of them made before somebody asks for one.

    How many there are is known, so that the block can be told from a leaf.
    """

    def __init__(self, names: int, make: Callable[[], None]) -> None:
        super().__init__()
        self.names: int = names
        self.make: Callable[[], None] | None = make

    def __len__(self) -> int:
        return self.names if self.make is not None else super().__len__()

    def ready(self) -> None:
        """Make the children, if they aren't yet."""
        if self.make is not None:
            self.make()

    def fill(self, children: dict[str, Any]) -> None:
        """From now on it is a dictionary as any other, of these children."""
        self.make = None
        self.update(children)


def _asking(name: str) -> Any:
    method = getattr(dict, name)

    def asked(self: Unmade, *args: Any, **kwargs: Any) -> Any:
        self.ready()
        return method(self, *args, **kwargs)

    return asked


# All that looks at items: one way that is left out would find nothing.
for _name in (
    *("__contains__", "__delitem__", "__eq__", "__getitem__", "__ior__", "__iter__", "__ne__", "__or__"),
    *("__repr__", "__reversed__", "__ror__", "__setitem__", "clear", "copy", "get", "items", "keys", "pop"),
    *("popitem", "setdefault", "update", "values"),
):
    setattr(Unmade, _name, _asking(_name))


@contextlib.contextmanager
def undisturbed() -> Iterator[None]:
    """What a model changes on its way makes no difference to what is made inside."""
    with (
        torch._C.DisableTorchFunction(),
        _disable_current_modes(),
        temporarily_clear_interpreter_stack(),
        torch.inference_mode(False),
        torch.no_grad(),
    ):
        yield


class Late(Maker):
    """Makes a shell, in eval mode, less the `insides` of some blocks; each of these when it is asked for.

    Whatever leads to a module in an inside, be it the block, an attribute, a method, a hook or a config, has
    it made: nothing leads to one that is not filled. `parameter`, `buffer` and `spent` as of
    `graph.shell.shell`; `alike` are the structural hashes of the modules. `state` maps the id of each
    parameter and buffer made so far to itself and its paths, and `ranks` to its place among all.
    """

    def __init__(
        self,
        census: Census,
        parameter: Parameter,
        buffer: Buffer,
        alike: Mapping[nn.Module, str],
        spent: Container[nn.Module],
    ) -> None:
        super().__init__(census.root, parameter, buffer, True, True, spent)
        self.census = census
        self.numbers: dict[Any, int] = {}
        self.insides = insides(census, alike, self.numbers)
        self.state: dict[int, tuple[torch.Tensor, list[str]]] = {}
        self.ranks: dict[int, int] = {}
        self.unmade: dict[nn.Module, Unmade] = {}
        self.block_of: dict[int, nn.Module] = {}
        self.children: dict[nn.Module, dict[str, nn.Module | None]] = {}
        self.done = False
        self.take: Callable[[nn.Module, Pairs], None] | None = None
        """Is told of a block and what was made in it later than the shell."""
        for block, inside in self.insides.items():
            self.block_of.update(dict.fromkeys([id(site[1]) for site in inside.sites], block))
            children = self.children[block] = block._modules
            unmade = Unmade(len(children), functools.partial(self.make, block))
            self.unmade[block] = self.memo[id(children)] = unmade
        self.asked: _Asked | None = _Asked(self)
        made = self.shell()
        for inside in self.insides.values():
            inside.configs[:] = map(self.remap, inside.configs)
        self.root = made.model
        for new, old in self.source_of.items():
            self.count(new, old)
        self.done = True
        resting(list(self.source_of))

    def walk(self) -> Iterator[tuple[str, nn.Module]]:
        """(path, module) of all but what lies in the insides."""
        for path, module, _, _ in self.census.places:
            if id(module) not in self.block_of:
                yield path, module

    def make(self, block: nn.Module) -> None:
        """Make what lies in `block`, in whatever modes it is asked for."""
        with undisturbed() if self.done else contextlib.nullcontext():
            self._make(block)

    def _make(self, block: nn.Module) -> None:
        unmade = self.unmade.pop(block)
        made: Pairs = []
        for path, module, _, _ in self.insides[block].sites:
            made.append((self.begin(path, module), module))
        for new, old in made:
            self.fill(new, old)
        children = self.children[block].items()
        unmade.fill({name: None if child is None else self.memo[id(child)] for name, child in children})
        if self.done:
            for new, old in made:
                self.count(new, old)
            resting([new for new, _ in made])
        if self.take is not None:
            self.take(block, made)

    def configs(self) -> Iterator[Any]:
        """Those that modules in insides hold, as they do once they are made."""
        return (config for inside in self.insides.values() for config in inside.configs)

    def has_made(self, old: nn.Module) -> bool:
        """Whether the shell has what `old` becomes."""
        return id(old) in self.memo

    def make_below(self, path: str) -> None:
        """Make what lies at, below and around `path`."""
        for block in list(self.unmade):
            here = self.census.paths[block][0]
            if block in self.unmade and (is_below(here, path) or is_below(path, here)):
                self.make(block)

    def let_go(self) -> None:
        """Empty what was to be used up and never made, and forget the rest."""
        for block, unmade in self.unmade.items():
            unmade.fill({})
            for _, module, _, _ in self.insides[block].sites:
                if module in self.spent:
                    module.__dict__.clear()
        self.unmade.clear()
        self.memo.clear()
        self.kept.clear()
        self.take = self.asked = None

    def count(self, new: nn.Module, old: nn.Module) -> None:
        """Note the tensors that `new` itself holds."""
        for key, (_, tensor, _) in zip(self.census.held.get(old, ()), own_tensors(new), strict=True):
            self.ranks[id(tensor)], paths = self.census.tensors[key]
            self.state[id(tensor)] = tensor, paths

    def _made(self, value: Any) -> Any:
        block = self.block_of.get(id(value))
        if block is None:
            return super()._made(value)
        self.make(block)
        return self.memo[id(value)]

    def config(self, value: Any) -> Any:
        """A config of the shell's own; what it says of modules in insides has them made."""
        return config_like(value, self.memo if self.asked is None else self.asked)


class _Asked(dict[int, Any]):
    """What stands for objects in a copy, by id, as `copy.deepcopy` has it."""

    def __init__(self, maker: Late) -> None:
        super().__init__()
        self.maker = maker

    def get(self, key: int, default: Any = None) -> Any:
        """What the shell has for an object, made if it isn't."""
        maker = self.maker
        if key in maker.block_of and key not in maker.memo:
            maker.make(maker.block_of[key])
        return maker.memo.get(key, default)

    def __contains__(self, key: object) -> bool:
        return key in self.maker.memo

    def __getitem__(self, key: int) -> Any:
        return self.maker.memo[key]

    def __setitem__(self, key: int, value: Any) -> None:
        self.maker.memo[key] = value
