"""The patient: what an operation sees of the model while it plans. Read only."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from functools import cached_property
from typing import Any

import torch
from torch import nn

from graph.paths import is_among, is_below, nearest
from graph.shell import NotShellable, shell
from graph.tree import Site, join, module_at, sites
from surgery.errors import SurgeryError
from surgery.families import FAMILIES, BlockList, Family, declared_ties, model_type
from surgery.lazy import Held

_FEW = 8  # modules whose places are asked for, before an index of all pays
_CONTAINERS = (nn.ModuleList, nn.Sequential)


class Patient:
    """A model under surgery, live or a skeleton; operations ask it for modules and lazy tensors.

    It is made for one plan: what it has looked up in the tree it does not look up again.

    `inputs` are the example inputs and `tokenizer` what came with the model, None where there is none: a
    model that is made anew has neither.
    """

    def __init__(self, root: nn.Module, inputs: Any = None, tokenizer: Any = None) -> None:
        self.root, self.inputs, self.tokenizer = root, inputs, tokenizer
        self.asked = 0
        self.signs = True
        """Whether further models that a step reads get their fingerprints."""
        self.origins: Mapping[nn.Module, str] = {}
        """Where modules come from, if somebody follows them: paths in the opened model, or `step:path`."""
        self.known: dict[str, object] = {}
        """What was found out about the model that is dear to find, by name."""
        self._modules: dict[str, nn.Module] = {}

    @property
    def config(self) -> Any:
        """The model's config object; None if it has none."""
        return getattr(self.root, "config", None)

    @property
    def model_type(self) -> str | None:
        """The transformers family by name; None for a plain module."""
        return model_type(self.root)

    def family(self, verb: str) -> Family | None:
        """The family's knowledge, None for a plain module; a family not proved yet is refused by name."""
        name = self.model_type
        if name is None:
            return None
        if name not in FAMILIES:
            raise SurgeryError(
                f"{verb} is not proved on the family {name!r} yet, and doing it wrong breaks its KV cache",
                expected=f"one of {', '.join(sorted(FAMILIES))}",
            )
        return FAMILIES[name]

    def module(self, path: str) -> nn.Module:
        """The module at `path`; SurgeryError with the nearest names if there is none."""
        if path in self._modules:
            return self._modules[path]
        try:
            found = self._modules[path] = module_at(self.root, path)
            return found
        except AttributeError:
            names = [name for name, _ in self.walk()]
            near = nearest(path, names)
            hint = f"`{near[0]}`" if near else "`surgery inspect`, which lists the paths"
            raise SurgeryError("no module is called so in this state", path=path, hint=hint) from None

    def tensors(self, path: str) -> list[tuple[str, Held]]:
        """Parameters under `path` as (name relative to it, lazy tensor), each site of a tie included."""
        module = self.module(path)
        return [
            (name, Held.of(parameter)) for name, parameter in module.named_parameters(remove_duplicate=False)
        ]

    def own_tensors(self, path: str) -> list[tuple[str, Held]]:
        """Those of `tensors` without what a block at or around `path` has for its whole list."""
        family = FAMILIES.get(self.model_type or "")
        lists = self.block_lists(family) if family else {}
        shared = [
            f"{parent}.{name}.{blocks.first}"
            for parent, blocks in lists.items()
            for name in self.module(parent)._modules
            if blocks.first and is_below(path, f"{parent}.{name}")
        ]
        others = [part for part in shared if not is_below(path, part)]
        return [(name, lazy) for name, lazy in self.tensors(path) if not is_among(f"{path}.{name}", others)]

    def tensor(self, path: str) -> Held:
        """The lazy tensor of the parameter at `path`."""
        owner, _, name = path.rpartition(".")
        parameter = self.module(owner)._parameters.get(name)
        if parameter is None:
            raise SurgeryError("no parameter is called so in this state", path=path)
        return Held.of(parameter)

    def sites(self) -> dict[int, list[str]]:
        """All paths of every parameter, by the id of the Parameter object, in the order of the tree."""
        return self._parameter_sites

    def buffer(self, path: str) -> Held | None:
        """The lazy tensor of the buffer at `path`; None if there is no buffer."""
        owner, _, name = path.rpartition(".")
        buffer = self.module(owner)._buffers.get(name)
        return None if buffer is None else Held.of(buffer)

    def buffer_sites(self) -> dict[int, list[str]]:
        """All paths of every buffer, as `sites` gives those of parameters."""
        return self._buffer_sites

    @cached_property
    def _parameter_sites(self) -> dict[int, list[str]]:
        return _sites((site[0], site[1]._parameters) for site in self.places)

    @cached_property
    def _buffer_sites(self) -> dict[int, list[str]]:
        return _sites((site[0], site[1]._buffers) for site in self.places)

    def module_paths(self, module: nn.Module) -> list[str]:
        """All paths at which this very module object sits."""
        self.asked += 1
        if self.asked < _FEW:  # to look through the tree for one module is quicker
            return [site[0] for site in self.places if site[1] is module]
        return self._paths.get(id(module), [])

    def walk(self) -> list[tuple[str, nn.Module]]:
        """Every (path, module) of the tree, a reused module at each of its paths."""
        return [(site[0], site[1]) for site in self.places]

    @cached_property
    def places(self) -> list[Site]:
        """The sites of all modules: a plan changes none of them. Whoever knows them sets them."""
        return sites(self.root)

    @cached_property
    def _paths(self) -> dict[int, list[str]]:
        found: dict[int, list[str]] = {}
        for path, module, _, _ in self.places:
            found.setdefault(id(module), []).append(path)
        return found

    def reused(self, path: str) -> str | None:
        """The outermost module at or around `path` that is one object at several paths; None if none is."""
        parts = path.split(".")
        for depth in range(1, len(parts) + 1):
            outer = ".".join(parts[:depth])
            if len(self.module_paths(self.module(outer))) > 1:
                return outer
        return None

    def items(self, path: str) -> int:
        """How many items the list at `path` has; an object that is in it twice counts twice."""
        return len(self.module(path)._modules)

    def block_list(self, path: str, verb: str) -> tuple[str, int]:
        """The list a block sits in and its position there, which need not be its name.

        Refused if `path` is no item of a ModuleList or Sequential, or, in a transformers model, not
        one of its family's blocks.
        """
        parent, _, index = path.rpartition(".")
        self.module(path)
        parent = self.module_paths(self.module(parent))[0]  # a list used twice is one list
        family = self.family(verb)
        lists = list(self.block_lists(family)) if family else []
        if family and not lists:
            raise SurgeryError(
                f"{verb} finds no list of blocks that is known of the family {family.model_type!r}",
                path=path,
                got=type(self.root).__name__,
                hint="the model around it",
            )
        if not isinstance(self.module(parent), _CONTAINERS):
            hint = f"`{lists[0]}[0]`" if lists else "an item of a ModuleList or Sequential"
            raise SurgeryError(
                f"{verb} needs a block", path=path, got=type(self.module(path)).__name__, hint=hint
            )
        if lists and parent not in lists:
            raise SurgeryError(
                f"{verb} needs a block of {' or '.join(lists)}", path=path, hint=f"`{lists[0]}[0]`"
            )
        return parent, list(self.module(parent)._modules).index(index)

    def block_lists(self, family: Family) -> dict[str, BlockList]:
        """The family's block lists that this model has, by their paths here; each stage's is one.

        A path that two of them would have, in a part of a model opened alone, is left out.
        """
        found: list[tuple[str, BlockList]] = []
        for blocks in family.lists:
            around, star, inner = blocks.path.partition(".*")
            here = self.here(around)
            if here is not None and star:
                for stage in self.module(here)._modules:
                    count = blocks.count.replace("*", stage)
                    found.append((f"{here}.{stage}{inner}", replace(blocks, count=count)))
            elif here is not None:
                found.append((here, blocks))
        paths = [path for path, _ in found]
        return {path: blocks for path, blocks in found if paths.count(path) == 1}

    def here(self, path: str) -> str | None:
        """Where this model has the module that a model with its head has at `path`; None if it has none."""
        while path:
            try:
                module_at(self.root, path)
            except AttributeError:
                path = path.partition(".")[2]
            else:
                return path
        return None

    def config_ties(self, path: str) -> bool:
        """Whether the parameter at `path` is an end of a tie that the model's class makes by its config."""
        return path in self._tied_by_config

    @cached_property
    def _tied_by_config(self) -> frozenset[str]:
        ends = self.declared_ties() if getattr(self.config, "tie_word_embeddings", False) else {}
        return frozenset((*ends, *ends.values()))

    def declared_ties(self) -> dict[str, str]:
        """Ties the model's class makes by itself when its config says so: target → source."""
        return declared_ties(self.root)


def _sites(held: Iterable[tuple[str, Mapping[str, torch.Tensor | None]]]) -> dict[int, list[str]]:
    """All paths of the tensors that modules hold by their names, by id."""
    found: dict[int, list[str]] = {}
    for path, tensors in held:
        for name, tensor in tensors.items() if tensors else ():
            if tensor is not None:
                found.setdefault(id(tensor), []).append(join(path, name))
    return found


def private_shell(
    model: nn.Module,
    parameter: Callable[[nn.Parameter], nn.Parameter] | None = None,
    buffer: Callable[[torch.Tensor], torch.Tensor] | None = None,
    *,
    private_config: bool = True,
) -> nn.Module:
    """A structural shell (see `graph.shell`); SurgeryError for a module that cannot be taken apart."""
    try:
        return shell(model, parameter, buffer, private_config=private_config).model
    except NotShellable as error:
        raise SurgeryError(error.reason, path=error.path or "(root)") from None


def sharing_shell(module: nn.Module) -> nn.Module:
    """A module of its own around the very parameters of `module`; the config stays the model's."""
    return private_shell(module, parameter=lambda shared: shared, private_config=False)


def refuse_reused(patient: Patient, path: str) -> None:
    """SurgeryError if the module at `path` is one object at several paths: each would change with it."""
    places = patient.module_paths(patient.module(path))
    if len(places) > 1:
        raise SurgeryError(
            "is one module used at several paths",
            path=path,
            got=" and ".join(places),
            hint=f'`untie("{patient.reused(places[-1])}")` first',
        )
