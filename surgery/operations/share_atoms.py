"""Share atoms: weights over depth as combinations of a few shared matrices."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import nn

from surgery.adapters.adapter import Adapter
from surgery.adapters.lora import is_linear, weight_of
from surgery.charts import Chart, Curves
from surgery.edits import Edit, SetModule, SetTensor
from surgery.errors import SurgeryError
from surgery.factors.truncation import Spectrum, error_curve
from surgery.fields import Targets, option
from surgery.functions.atoms import left_vectors
from surgery.lazy import Held, Reduction, recipe
from surgery.model import Patient, refuse_reused
from surgery.modules.atoms import AtomLinear
from surgery.operation import Operation, operation
from surgery.recipes import compute
from surgery.tying.members import role_of
from surgery.unseen import refuse_unseen

_LINES = 4  # in a chart

Role = tuple[str, type, tuple[int, ...], torch.dtype]


@operation(
    title="Share atoms", group="tie", source="matrix atoms: Zhussip et al. 2025 (MASA), arXiv:2508.04581"
)
class ShareAtoms(Operation):
    """Targets of one role are combinations of a few matrices that all of them share.

    W_ℓ = Σₛ c_ℓₛ Dₛ over the modules ℓ of a role, which is the path without the numbers of blocks
    (`model.layers.*.self_attn.q_proj`). The S = `atoms` matrices D are one tie over all of them, the S
    factors c each one's own: S weights are stored for L, and S · L numbers. Both come from the SVD of the L
    weights as rows of one matrix, so the error is the least there is, its square the tail of σ²; with S = L
    nothing is lost. Fields: `targets`: linear modules (torch's Linear, GPT-2's Conv1D), two or more of each
    role, of one shape; `atoms` S, at most L. Biases stay. Each call makes its weight anew: S · inputs ·
    outputs multiplications, little beside those of many tokens, much beside those of one. Refused: modules
    that are not linear, under adapters, used at several paths, tied to places outside their role, or whose
    weights torch reads without calling them.
    """

    targets: Targets = option(help="the linear modules that share matrices, each with those of its role")
    atoms: int = option(help="how many matrices those of a role share", minimum=1, maximum=4096)

    def plan(self, patient: Patient) -> Iterator[Edit]:
        for path in self.targets.paths:
            _refuse_unfit(patient, path)
        for paths in roles(patient, self.targets.paths):
            self._refuse_few(paths)
            weights = [patient.tensor(f"{path}.weight") for path in paths]
            _refuse_left_behind(patient, paths, weights)
            count, dtype = len(paths), weights[0].dtype
            products = _products(weights)
            atoms = []
            for number in range(self.atoms):
                mixture = recipe("atom_mixture", products, shape=(count,), number=number)
                made = recipe("combined", mixture, *weights, shape=weights[0].shape, dtype=dtype)
                atoms.append(made)
            for place, path in enumerate(paths):
                yield SetModule(path, self._module)
                own = recipe(
                    "atom_coefficients",
                    products,
                    shape=(self.atoms,),
                    dtype=dtype,
                    place=place,
                    count=self.atoms,
                    to=str(dtype).removeprefix("torch."),
                )
                yield SetTensor(f"{path}.coefficients", own)
                for number, made in enumerate(atoms):
                    yield SetTensor(f"{path}.atom_{number}", made)

    def chart(self, patient: Patient, data: Sequence[Any]) -> Chart:
        """What is lost of the weights over the number of atoms, for each role, with a mark at the number."""
        for path in self.targets.paths:
            _refuse_unfit(patient, path)
        found = roles(patient, self.targets.paths)
        lines = {}
        for paths in found[:_LINES]:
            self._refuse_few(paths)
            squares = left_vectors(
                compute(_products([patient.tensor(f"{path}.weight") for path in paths]), {})
            )[1]
            total = float(squares.sum())
            lines[role_of(paths[0])] = error_curve([Spectrum(squares, total, total)])
        return Curves(
            title="What a few matrices lose of the weights"
            + (f", {_LINES} of {len(found)} roles" if len(found) > _LINES else ""),
            lines=lines,
            x="matrices shared",
            y="relative error ‖W − ΣcD‖ / ‖W‖",
            mark=float(self.atoms),
        )

    def _module(self, replaced: nn.Module) -> nn.Module:
        return AtomLinear(replaced, self.atoms)

    def _refuse_few(self, paths: Sequence[str]) -> None:
        if len(paths) < 2:
            raise SurgeryError(
                "is the only one of its role and shape, and shares with nobody",
                path=paths[0],
                hint=f"`{role_of(paths[0])}`",
            )
        if self.atoms > len(paths):
            raise SurgeryError(
                "there cannot be more atoms than weights",
                path=role_of(paths[0]),
                got=self.atoms,
                expected=f"at most {len(paths)}, which loses nothing",
            )


def _products(weights: Sequence[Held]) -> Reduction:
    """The inner products of weights of one shape, (weights, weights) float64."""
    count = len(weights)
    return Reduction(function="gram", inputs=tuple(weights), shape=(count, count), dtype=torch.float64)


def roles(patient: Patient, paths: Sequence[str]) -> list[list[str]]:
    """The paths of linear modules by role and shape, in the order of the model."""
    found: dict[Role, list[str]] = {}
    for path in paths:
        module = patient.module(path)
        weight = weight_of(module)
        key = (role_of(path), type(module), tuple(weight.shape), weight.dtype)
        found.setdefault(key, []).append(path)
    return list(found.values())


def _refuse_unfit(patient: Patient, path: str) -> None:
    module = patient.module(path)
    around = patient.module(path.rpartition(".")[0]) if path else None
    adapted = module if isinstance(module, Adapter) else around
    if isinstance(adapted, Adapter):
        raise SurgeryError(
            "carries an adapter", path=path, hint=f'`fold("{path}")` or `detach("{path}")` first'
        )
    if not path or not is_linear(module):
        raise SurgeryError(
            "is no linear module in a place of its own",
            path=path or "(root)",
            got=type(module).__name__,
            expected="Linear or Conv1D",
            hint="`**.self_attn.{q,k,v,o}_proj`",
        )
    if patient.config_ties(f"{path}.weight"):
        raise SurgeryError(
            "its weight is tied by the model's config, which knows it by the name it has now",
            path=path,
            hint=f'`untie("{path}")` first',
        )
    refuse_unseen(patient, path, "share_atoms")
    refuse_reused(patient, path)


def _refuse_left_behind(patient: Patient, paths: Sequence[str], weights: Sequence[Held]) -> None:
    sites = patient.sites()
    slots = {f"{path}.weight" for path in paths}
    for path, weight in zip(paths, weights, strict=True):
        behind = [place for place in sites[id(weight.parameter)] if place not in slots]
        if behind:
            raise SurgeryError(
                "its weight is tied to a place that would be left behind",
                path=path,
                got=behind[0],
                hint=f'`untie("{path}")` first',
            )
