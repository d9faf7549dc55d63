"""What a model consists of before it is traced: paths of modules and tensors, what lies below what."""

from collections.abc import Mapping, Sequence
from functools import cached_property

import torch
from torch import nn

from graph.layouts import Layout, layout_of
from graph.tree import Site, own_tensors


class Census:
    """Paths of the modules and tensors of a tree with these `places`, as they are now.

    `paths` are those of each module, `first` the number of its first place, `tensors` those of each parameter
    and buffer by its id, with the number of the tensor. The tensors are held by the model. `layouts` are
    those of the modules, if known.
    """

    def __init__(self, places: Sequence[Site], layouts: Mapping[nn.Module, Layout] | None = None) -> None:
        self.places, self.layouts = places, layouts
        self.paths: dict[nn.Module, list[str]] = {}
        self.first: dict[nn.Module, int] = {}
        self.tensors: dict[int, tuple[int, list[str]]] = {}
        self.held: dict[nn.Module, list[int]] = {}
        self.shares = False
        """Whether any tensor is at several paths."""
        for index, (path, module, _, _) in enumerate(places):
            known = self.paths.get(module)
            if known is None:
                self.paths[module], self.first[module] = [path], index
            else:
                known.append(path)
            if module._parameters or module._buffers:  # most have none
                self.count(path, module)
        self._ends: list[int] | None = None

    def count(self, path: str, module: nn.Module) -> None:
        """Note the tensors that `module` itself holds."""
        held = self.held[module] = []
        prefix, known = f"{path}." if path else "", self.tensors
        for tensors in (module._parameters, module._buffers):
            for name, tensor in tensors.items() if tensors else ():
                if tensor is None:
                    continue
                key = id(tensor)
                held.append(key)
                if key in known:
                    known[key][1].append(prefix + name)
                    self.shares = True
                else:
                    known[key] = len(known), [prefix + name]

    def state(self) -> dict[int, tuple[torch.Tensor, list[str]]]:
        """Parameters and buffers by id, with all their paths; the tensor is held so that the id stays."""
        return {
            id(tensor): (tensor, self.tensors[id(tensor)][1])
            for module in self.held
            for _, tensor, _ in own_tensors(module)
        }

    @property
    def root(self) -> nn.Module:
        """The model itself."""
        return self.places[0][1]

    def layout(self, module: nn.Module) -> Layout:
        """How the attributes of `module` lie."""
        return layout_of(module) if self.layouts is None else self.layouts[module]

    def below(self, index: int) -> Sequence[Site]:
        """The places below the one with this number."""
        return self.places[index + 1 : self.ends[index]]

    def tree(self, module: nn.Module) -> tuple[nn.Module, ...]:
        """The modules at and below it, each once, parents first."""
        index = self.first[module]
        return tuple(dict.fromkeys([module, *(site[1] for site in self.below(index))]))

    def tied_within(self, tree: Sequence[nn.Module]) -> tuple[int, ...]:
        """Which tensors of the tree are the same one: per tensor the place of its first; () if all differ."""
        if not self.shares or self.sharing.isdisjoint(tree):
            return ()
        first: dict[int, int] = {}
        places = [first.setdefault(key, len(first)) for module in tree for key in self.held.get(module, ())]
        return tuple(places) if len(first) < len(places) else ()

    @cached_property
    def sharing(self) -> set[nn.Module]:
        """The modules that hold a tensor which is at several paths."""
        shared = {key for key, (_, paths) in self.tensors.items() if len(paths) > 1}
        return {module for module, held in self.held.items() if not shared.isdisjoint(held)}

    @property
    def ends(self) -> list[int]:
        """Per place the number of the first one that doesn't lie below it any more."""
        if self._ends is None:
            ends = self._ends = [len(self.places)] * len(self.places)
            above: list[int] = []
            for index, (_, _, _, around) in enumerate(self.places):
                while above and self.places[above[-1]][1] is not around:
                    ends[above.pop()] = index
                above.append(index)
        return self._ends
