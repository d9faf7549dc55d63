"""Wrap modules in others."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import nn

from surgery.edits import Edit, SetModule, SetTensor
from surgery.errors import SurgeryError
from surgery.fields import Targets, option
from surgery.model import Patient, refuse_reused
from surgery.modules.register import named_module
from surgery.modules.widths import Side, dtype_at, width_beside
from surgery.operation import Operation, operation
from surgery.unseen import refuse_unseen


@operation(
    title="Wrap",
    group="arrange",
    source="original; scalar gates after Bachlechner et al. 2020, arXiv:2003.04887",
)
class Wrap(Operation):
    """Each target sits inside another module, as its `base`, which changes what goes in or comes out.

    Fields: `targets`; `wrapper`: `scale` (gate · f(x), one number to be learned that starts at one:
    bit-equal at first), `residual` (x + f(x)), `prenorm` (f(norm(x))), `postnorm` (norm(f(x))), both with
    `kind='rmsnorm'` or `'layernorm'` and weight one, or what an installed package registers, with arguments
    as in `prenorm(eps=1e-5)`; `width` of the norm, by default the model's hidden size for a block, its
    attention or its MLP, else what the first or last module with parameters of the target has. Of a tuple
    the first item counts. Names change from `path` to `path.base`; only undo takes a wrapper off. A
    wrapped block shows in `hidden_states` what it returns itself. Refused: the whole model, modules used at
    several paths, ends of ties that the config declares, modules whose weights torch reads without calling
    them, a residual of different shapes, widths that do not fit.
    """

    targets: Targets = option(help="the modules that sit inside a wrapper then")
    wrapper: str = option("scale", help="`scale`, `residual`, `prenorm` or `postnorm(kind='layernorm')`")
    width: int | None = option(None, help="of a norm, where the target does not tell", minimum=1)

    def plan(self, patient: Patient) -> Iterator[Edit]:
        fresh = named_module(self.wrapper, "wrapper")
        if "" in self.targets.paths:
            raise SurgeryError("the whole model cannot be wrapped", path="(root)", hint="a part of it")
        side: Side = "after" if fresh.registered.name == "postnorm" else "before"
        for path in reversed(self.targets.paths):  # what is inside another target first, while it is there
            _check(patient, path)
            width = width_beside(patient, path, side, self.width, fresh)
            dtype = dtype_at(patient, path)

            def build(base: nn.Module, width: int | None = width, dtype: torch.dtype = dtype) -> nn.Module:
                made = fresh.build(width, dtype, base)
                for module in set(made.modules()) - set(base.modules()):
                    module.training = base.training
                return made

            yield SetModule(path, build)
            base = patient.module(path)
            for name, tensor in fresh.values(build(base), path, base).items():
                yield SetTensor(f"{path}.{name}", tensor)


def _check(patient: Patient, path: str) -> None:
    refuse_unseen(patient, path, "wrap")
    refuse_reused(patient, path)
    for name, _ in patient.tensors(path):
        if patient.config_ties(f"{path}.{name}"):
            raise SurgeryError(
                "is tied by the model's config, which knows it by the name it has without a wrapper",
                path=f"{path}.{name}",
                hint=f'`untie("{path}")` first',
            )
