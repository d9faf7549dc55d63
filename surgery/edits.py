"""The primitive edits: all that can happen to a model. Operations plan them, a run applies them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, reduce
from itertools import chain
from typing import Any, Protocol

import torch
from torch import nn

from graph.layouts import Layout
from graph.records import quickly_made
from graph.standing import arranged
from graph.tree import Site as Place
from graph.tree import module_at, sites
from surgery.journal import Journal
from surgery.lazy import Lazy


class Run(Protocol):
    """How lazy tensors become parameters: computed (live) or on meta with their lineage (skeleton).

    A buffer is real on a skeleton too, and has a lineage there. `computes` says whether parameters get
    values, which must lie where those around them do. `outside` is what `surgery.aliases` found out on
    the run, `places` are the sites of the model after its last step, if known, and `layouts` those of its
    modules that are: all hold as long as nobody edits the model but the steps of the run.
    """

    computes: bool
    outside: dict[nn.Module, list[tuple[str, nn.Module]]]
    places: list[Place] | None
    layouts: dict[nn.Module, Layout]

    def parameter(self, lazy: Lazy, *, trainable: bool, device: torch.device) -> nn.Parameter: ...

    def buffer(self, lazy: Lazy, *, device: torch.device) -> torch.Tensor: ...


@dataclass(frozen=True)
class Site:
    """Where edits are applied: the model, the journal that is told first, and the run."""

    model: nn.Module
    journal: Journal
    run: Run

    @cached_property
    def holds_values(self) -> bool:
        """Whether a parameter of the model is anywhere but on meta, and those to come will be."""
        return self.run.computes and any(not parameter.is_meta for parameter in self.model.parameters())

    def slots(self, path: str, kind: str) -> tuple[dict[str, Any], str]:
        """The dictionary of kind `_modules`, `_parameters` … that holds `path`, announced, and the key."""
        owner, _, name = path.rpartition(".")
        mapping: dict[str, Any] = getattr(module_at(self.model, owner), kind)
        return self.journal.touch(mapping), name


class Edit(Protocol):
    """One primitive change."""

    def apply(self, site: Site) -> None: ...


@quickly_made
@dataclass(frozen=True, slots=True)
class SetTensor:
    """The parameter slot `path` holds `tensor`; a Held tensor is shared, anything else is a new Parameter.

    A new Parameter is `trainable` as said, else as the one before it was.
    """

    path: str
    tensor: Lazy
    trainable: bool | None = None

    def apply(self, site: Site) -> None:
        slots, name = site.slots(self.path, "_parameters")
        before = slots.get(name)
        trainable = self.trainable
        if trainable is None:
            trainable = before is None or before.requires_grad
        slots[name] = site.run.parameter(self.tensor, trainable=trainable, device=self._device(site, before))

    def _device(self, site: Site, before: nn.Parameter | None) -> torch.device:
        """Where the slot's tensor was; of a slot that was just made, where what is around it lies."""
        if not site.holds_values:
            return torch.device("cpu")
        owners, path = [], self.path
        while path:
            path = path.rpartition(".")[0]
            owners.append(module_at(site.model, path))
        tensors = chain([] if before is None else [before], *(owner.parameters() for owner in owners))
        return next((tensor.device for tensor in tensors if not tensor.is_meta), torch.device("cpu"))


@dataclass(frozen=True)
class SetBuffer:
    """The buffer slot `path` holds `tensor`; whether a checkpoint stores it stays as it is.

    On a skeleton it is a tensor of zeros: buffers are real there, and what is stored gets loaded. Only a
    cast is made there too, since what no checkpoint stores is cast as well.
    """

    path: str
    tensor: Lazy

    def apply(self, site: Site) -> None:
        slots, name = site.slots(self.path, "_buffers")
        slots[name] = site.run.buffer(self.tensor, device=slots[name].device)


@dataclass(frozen=True)
class SetModule:
    """The module slot `path` holds what `build` makes of the module that is there.

    `build` may wrap or take apart what it gets; its own new parameters are on meta, to be set by
    SetTensor edits that follow.
    """

    path: str
    build: Callable[[nn.Module], nn.Module]

    def apply(self, site: Site) -> None:
        slots, name = site.slots(self.path, "_modules")
        for _, module, _, _ in sites(slots[name]) if site.run.layouts else ():
            site.run.layouts.pop(module, None)
        slots[name] = self.build(slots[name])


@dataclass(frozen=True)
class PlaceModule:
    """The module slot `path`, which need not be there yet, holds this very module; None: there is no slot."""

    path: str
    module: nn.Module | None

    def apply(self, site: Site) -> None:
        slots, name = site.slots(self.path, "_modules")
        slots.pop(name, None)
        if self.module is not None:
            slots[name] = self.module


@dataclass(frozen=True)
class Arrange:
    """The list or sequence at `path` holds its items by the positions in `order`, numbered from 0.

    What isn't in `order` is gone; what is in it twice stands in two places.
    """

    path: str
    order: tuple[int, ...]

    def apply(self, site: Site) -> None:
        container = module_at(site.model, self.path)
        slots = site.journal.touch(container._modules)
        items = list(slots.values())
        slots.clear()
        slots.update({str(number): items[index] for number, index in enumerate(self.order)})


@dataclass(frozen=True)
class SetAttribute:
    """The module at `path` has the attribute `name` with this plain value."""

    path: str
    name: str
    value: Any

    def apply(self, site: Site) -> None:
        module = module_at(site.model, self.path)
        attributes = module.__dict__
        if self.name not in attributes or type(attributes[self.name]) is not type(self.value):
            site.run.layouts.pop(module, None)
        site.journal.touch_value(attributes, self.name)[self.name] = self.value


@dataclass(frozen=True)
class SetConfig:
    """The config says `name` = `value`; a list is a new one, never changed in place.

    Dots in `name` lead into a sub-config (`text_config.num_hidden_layers`) or to an item of a list
    (`depths.2`). `of`: where the model has the config, if it is not its own (`encoder.config`).
    """

    name: str
    value: Any
    of: str = "config"

    def apply(self, site: Site) -> None:
        config: Any = reduce(getattr, self.of.split("."), site.model)
        name, _, rest = self.name.partition(".")
        name = getattr(config, "attribute_map", {}).get(name, name)  # GPT-2 says n_layer
        value, before = self.value, getattr(config, name, None)
        if rest and not rest.isdigit():
            SetConfig(rest, value, f"{self.of}.{name}").apply(site)
            return
        if rest and before is not None:
            place = int(rest)
            value = type(before)([*before[:place], value, *before[place + 1 :]])
        site.journal.touch_value(config.__dict__, name)[name] = value


KNOWN = frozenset({Arrange, PlaceModule, SetAttribute, SetBuffer, SetConfig, SetModule, SetTensor})
"""Edits that tell a run of the modules whose attributes they may change."""

_STAYING = (SetTensor, SetBuffer, SetAttribute, SetConfig)
"""Edits that leave every module where it is."""


def places_after(edits: Sequence[Edit], places: list[Place]) -> list[Place] | None:
    """The sites of a model once these edits are made, from those before; None where it takes another look."""
    moving = [edit for edit in edits if type(edit) not in _STAYING]
    if not moving:
        return places
    if len(moving) == 1 and isinstance(moving[0], Arrange):
        return arranged(places, moving[0].path, moving[0].order)
    return None
