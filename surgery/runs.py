"""Two of the three runs of a plan: live computes tensors, skeleton only remembers what they are.

Importing `surgery.functions` registers what recipes name.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import torch
from torch import nn

import surgery.functions  # noqa: F401
from graph.layouts import Layout
from graph.tree import Site as Place
from graph.tree import is_lazy
from surgery.aliases import refuse_aliases
from surgery.copies import copy_of, settled
from surgery.devices import is_out_of_memory
from surgery.edits import KNOWN, Run, Site, places_after
from surgery.errors import SurgeryError
from surgery.journal import Journal
from surgery.lazy import Alias, Held, Known, Lazy, Recipe
from surgery.model import Patient
from surgery.operation import Operation
from surgery.recipes import compute
from surgery.sealed import refuse_sealed

_META = torch.device("meta")
_SMALL = 4096  # elements: statistics of tensors, and no tensors


class Live:
    """Computes each lazy tensor once; a node set at several sites becomes one Parameter, a tie."""

    computes = True

    def __init__(self) -> None:
        self.small: dict[int, torch.Tensor] = {}
        self.parameters: dict[int, nn.Parameter] = {}
        self.buffers: dict[int, torch.Tensor] = {}
        self.outside: dict[nn.Module, list[tuple[str, nn.Module]]] = {}
        self.places: list[Place] | None = None
        self.layouts: dict[nn.Module, Layout] = {}
        self.kept: list[Lazy] = []
        self.made: dict[int, torch.Tensor] = {}

    def parameter(self, lazy: Lazy, *, trainable: bool, device: torch.device) -> nn.Parameter:
        if isinstance(lazy, Held):
            return _parameter(lazy)
        if id(lazy) not in self.parameters:
            self.kept.append(lazy)
            self.parameters[id(lazy)] = self._made(lazy, trainable, device)
        return self.parameters[id(lazy)]

    def buffer(self, lazy: Lazy, *, device: torch.device) -> torch.Tensor:
        if isinstance(lazy, Held):
            return lazy.parameter
        if id(lazy) not in self.buffers:
            self.kept.append(lazy)
            self.buffers[id(lazy)] = self._computed(lazy).to(device)
        return self.buffers[id(lazy)]

    def _made(self, lazy: Lazy, trainable: bool, device: torch.device) -> nn.Parameter:
        if isinstance(lazy, Recipe) and lazy.function == "copy" and isinstance(lazy.inputs[0], Held):
            source = _parameter(lazy.inputs[0])
            if source.device == device:
                return copy_of(source, trainable=trainable)
        if isinstance(lazy, Alias):
            settled()  # a copy under way still lies in the memory of its source
        computed = self._computed(lazy)
        placed = computed.to(device)
        if placed is computed:  # what others are made of need not be computed again for them
            self.made[id(lazy)] = placed
        return nn.Parameter(placed, requires_grad=trainable)

    def _computed(self, lazy: Lazy) -> torch.Tensor:
        """The tensor; what it was made from is let go of, but for what is small and may serve others."""
        memo = dict(self.small) | {
            id(item): self.made[id(item)] for item in lazy.inputs if id(item) in self.made
        }
        try:
            made = compute(lazy, memo)
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
            raise SurgeryError(
                "there is too little memory for one of its tensors",
                got=f"{lazy.dtype} of shape {list(lazy.shape)}",
                hint="`surgery replay` with `--memory`, which makes it in pieces",
            ) from error
        self.small = {key: tensor for key, tensor in memo.items() if tensor.numel() <= _SMALL}
        return made


class StandsFor(dict[int, Lazy]):
    """What each Parameter or buffer of a skeleton stands for, by its id.

    Of those that it was `drawn` from it is said when somebody asks: few do.
    """

    def __init__(self) -> None:
        super().__init__()
        self.drawn: dict[int, torch.Tensor] = {}

    def __missing__(self, key: int) -> Lazy:
        made = self[key] = Held.of(self.drawn[key])
        return made

    def of(self, tensor: torch.Tensor) -> Lazy | None:
        """What `tensor` stands for; None if that is not known."""
        key = id(tensor)
        return self[key] if key in self or key in self.drawn else None


class Skeleton:
    """Makes parameters on meta; `lineage` says, by id of Parameter or buffer, what each stands for."""

    computes = False

    def __init__(self) -> None:
        self.lineage = StandsFor()
        self.parameters: dict[int, nn.Parameter] = {}
        self.buffers: dict[int, torch.Tensor] = {}
        self.outside: dict[nn.Module, list[tuple[str, nn.Module]]] = {}
        self.places: list[Place] | None = None
        self.layouts: dict[nn.Module, Layout] = {}

    def parameter(self, lazy: Lazy, *, trainable: bool, device: torch.device) -> nn.Parameter:
        if isinstance(lazy, Held):
            return _parameter(lazy)
        if id(lazy) not in self.parameters:
            empty = torch.empty(lazy.shape, dtype=lazy.dtype, device=_META)
            made = _around(empty, trainable)
            self.parameters[id(lazy)] = made
            self.lineage[id(made)] = self._stands_for(lazy)
        return self.parameters[id(lazy)]

    def _stands_for(self, lazy: Lazy) -> Lazy:
        """The node itself; of an alias what the tensor stands for."""
        held = lazy.inputs[0] if isinstance(lazy, Alias) else None
        return (self.lineage.of(held.parameter) or held) if isinstance(held, Held) else lazy

    def buffer(self, lazy: Lazy, *, device: torch.device) -> torch.Tensor:
        if isinstance(lazy, Held):
            return lazy.parameter
        if id(lazy) not in self.buffers:
            if isinstance(lazy, Known):
                made = lazy.tensor.clone()
            elif isinstance(lazy, Recipe) and lazy.function == "cast":
                made = compute(lazy, {})
            else:
                made = torch.zeros(lazy.shape, dtype=lazy.dtype, device=device)
            self.buffers[id(lazy)] = made
            self.lineage[id(made)] = lazy
        return self.buffers[id(lazy)]


def _parameter(held: Held) -> nn.Parameter:
    assert isinstance(held.parameter, nn.Parameter)
    return held.parameter


def carry_out(
    step: Operation,
    model: nn.Module,
    journal: Journal,
    run: Run,
    inputs: Any = None,
    tokenizer: Any = None,
    *,
    signs: bool = True,
    origins: Mapping[nn.Module, str] = MappingProxyType({}),
) -> Operation:
    """Resolves, plans and applies one step; returns it resolved. Only the journal can take it back.

    `inputs` and `tokenizer` are the session's, if it has any; a step resolved before needs none. The plan is
    complete before the first edit, so a refusal has changed nothing. Further models that it reads get their
    fingerprints if it `signs`, for which all of their tensors are read. `origins`: where modules come from.
    """
    patient = Patient(model, inputs, tokenizer)
    patient.signs, patient.origins = signs, origins
    if run.places is not None:
        patient.places = run.places
    resolved = step.resolved(patient)
    edits = list(resolved.plan(patient))
    refuse_sealed(edits, model)
    refuse_aliases(edits, model, patient.places, run.outside)
    places, run.places = patient.places, None  # what raises leaves the model nobody knows how
    after = places_after(edits, places)
    if not KNOWN.issuperset(map(type, edits)):
        run.layouts.clear()
    site = Site(model, journal, run)
    for edit in edits:
        edit.apply(site)
    run.places = after
    return resolved


def on_meta(parameter: nn.Parameter) -> nn.Parameter:
    """A parameter like this one, without values."""
    if parameter.layout == torch.strided and not parameter.is_nested and not is_lazy(parameter):
        strides = parameter.stride()
        empty = torch.empty_strided(parameter.shape, strides, dtype=parameter.dtype, device=_META)
        return torch.Tensor._make_subclass(nn.Parameter, empty, parameter.requires_grad)
    empty = torch.empty_like(parameter, device=_META)  # ten times as long
    return nn.Parameter(empty, requires_grad=parameter.requires_grad)


def _around(plain: torch.Tensor, trainable: bool) -> nn.Parameter:
    """What nn.Parameter makes of a plain tensor, less the questions that it asks."""
    return torch.Tensor._make_subclass(nn.Parameter, plain, trainable)
