"""Two of the three runs of a plan: live computes tensors, skeleton only remembers what they are.

Importing `surgery.functions` registers what recipes name.
"""

from __future__ import annotations

import torch
from torch import nn

import surgery.functions  # noqa: F401
from surgery.aliases import refuse_aliases
from surgery.edits import Run, Site
from surgery.journal import Journal
from surgery.lazy import Alias, Held, Lazy
from surgery.model import Patient
from surgery.operation import Operation
from surgery.recipes import compute
from surgery.sealed import refuse_sealed


class Live:
    """Computes each lazy tensor once; a node set at several sites becomes one Parameter, a tie."""

    def __init__(self) -> None:
        self.tensors: dict[int, torch.Tensor] = {}
        self.parameters: dict[int, nn.Parameter] = {}
        self.kept: list[Lazy] = []

    def parameter(self, lazy: Lazy, *, trainable: bool, device: torch.device) -> nn.Parameter:
        if isinstance(lazy, Held):
            return lazy.parameter
        if id(lazy) not in self.parameters:
            self.kept.append(lazy)
            self.parameters[id(lazy)] = nn.Parameter(
                compute(lazy, self.tensors).to(device), requires_grad=trainable
            )
        return self.parameters[id(lazy)]


class Skeleton:
    """Makes parameters on meta; `lineage` says, by id of Parameter, what each stands for."""

    def __init__(self) -> None:
        self.lineage: dict[int, Lazy] = {}
        self.parameters: dict[int, nn.Parameter] = {}

    def parameter(self, lazy: Lazy, *, trainable: bool, device: torch.device) -> nn.Parameter:
        if isinstance(lazy, Held):
            return lazy.parameter
        if id(lazy) not in self.parameters:
            empty = torch.empty(lazy.shape, dtype=lazy.dtype, device="meta")
            made = nn.Parameter(empty, requires_grad=trainable)
            self.parameters[id(lazy)] = made
            self.lineage[id(made)] = self._stands_for(lazy)
        return self.parameters[id(lazy)]

    def _stands_for(self, lazy: Lazy) -> Lazy:
        """The node itself; of an alias what the tensor stands for."""
        held = lazy.inputs[0] if isinstance(lazy, Alias) else None
        return self.lineage.get(id(held.parameter), held) if isinstance(held, Held) else lazy


def carry_out(step: Operation, model: nn.Module, journal: Journal, run: Run) -> Operation:
    """Resolves, plans and applies one step; returns it resolved. Only the journal can take it back.

    The plan is complete before the first edit, so a refusal has changed nothing.
    """
    patient = Patient(model)
    resolved = step.resolved(patient)
    edits = list(resolved.plan(patient))
    refuse_sealed(edits, model)
    refuse_aliases(edits, model)
    for edit in edits:
        edit.apply(Site(model, journal, run))
    return resolved


def on_meta(parameter: nn.Parameter) -> nn.Parameter:
    """A parameter like this one, without values."""
    empty = torch.empty_like(parameter, device="meta")
    return nn.Parameter(empty, requires_grad=parameter.requires_grad)
