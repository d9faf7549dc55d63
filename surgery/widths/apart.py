"""An MLP divided by its neurons: what each of several parts has, so that all of them sum to it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from surgery.adapters.lora import is_transposed, weight_of
from surgery.errors import SurgeryError
from surgery.lazy import Lazy, recipe
from surgery.model import Patient
from surgery.widths.part import Part
from surgery.widths.refusals import refuse_sealed
from surgery.widths.registry import KINDS
from surgery.widths.resizing import flat


@dataclass(frozen=True)
class Apart:
    """The neurons of `part` in `count` runs of equal length; `out` is the layer that leads out of them."""

    patient: Patient
    part: Part
    count: int
    out: str

    @property
    def each(self) -> int:
        """Neurons of one."""
        return self.part.count // self.count

    @property
    def bias(self) -> Tensor | None:
        """The bias of the layer that leads out."""
        return self.patient.module(self.out)._parameters.get("bias")

    def tensors(self, number: int, share: float) -> Iterator[tuple[str, Lazy]]:
        """By name in the MLP the tensors of part `number`, with that `share` of the bias at the end."""
        places = tuple(range(number * self.each, (number + 1) * self.each))
        index = recipe("chosen", shape=(self.each,), dtype=torch.int64, places=places)
        cuts = {cut.path: cut for cut in self.part.cuts}
        made: dict[tuple[object, ...], Lazy] = {}
        for name, lazy in self.patient.tensors(self.part.path):
            cut = cuts.get(f"{self.part.path}.{name}")
            if cut is None:
                key: tuple[object, ...] = (id(lazy.parameter),)
                found: Lazy = recipe("weighted_sum", lazy, weights=(share,))
            else:
                gone = sum(size for _, size in cut.sections) * (self.part.count - self.each)
                sides = (*lazy.shape[: cut.dim], lazy.shape[cut.dim] - gone, *lazy.shape[cut.dim + 1 :])
                key = (id(lazy.parameter), cut.dim, cut.sections)
                found = recipe(
                    "take_units",
                    lazy,
                    index,
                    shape=sides,
                    count=self.part.count,
                    dim=cut.dim,
                    sections=flat(cut.sections),
                )
            yield name, made.setdefault(key, found)

    def attributes(self) -> Iterator[tuple[str, str, int]]:
        """Path in the MLP, name and value of what says how many neurons there are."""
        for follow in self.part.follows:
            before = getattr(self.patient.module(follow.path), follow.name)
            name = follow.path.removeprefix(self.part.path).lstrip(".")
            yield name, follow.name, before - follow.size * (self.part.count - self.each)

    def shares(self, neurons: Tensor) -> Tensor:
        """What each part adds, (tokens, parts, width) float64, of all values of neurons, a row a token."""
        layer = self.patient.module(self.out)
        weight = weight_of(layer).detach().double()
        weight = weight if is_transposed(layer) else weight.T
        runs = neurons.double().unflatten(1, (self.count, self.each))
        return torch.einsum("tpn,pnw->tpw", runs, weight.unflatten(0, (self.count, self.each)))


def apart(patient: Patient, path: str, count: int) -> Apart:
    """The MLP at `path` in `count` parts; SurgeryError where its neurons are not known or not divisible."""
    part = next((item for item in KINDS["neurons"](patient) if item.path == path), None)
    if part is None:
        raise SurgeryError(
            "has no neurons that are known, so that they cannot be divided",
            path=path,
            got=type(patient.module(path)).__name__,
            hint='`how="copy"`',
        )
    refuse_sealed(patient, [part])
    if part.count % count:
        near = next(number for number in range(count, 0, -1) if part.count % number == 0)
        raise SurgeryError(
            f"its {part.count} neurons cannot be divided by {count}",
            path=path,
            hint=f"`experts={near}`" if near > 1 else '`how="copy"`',
        )
    out = part.cuts[-1].path.rpartition(".")[0]
    known = {cut.path for cut in part.cuts} | {f"{out}.bias"}
    for name, _ in patient.tensors(path):
        if f"{path}.{name}" not in known:
            raise SurgeryError(
                "belongs to no neuron, so that the parts would not sum to the MLP",
                path=f"{path}.{name}",
                hint='`how="copy"`',
            )
    return Apart(patient, part, count, out)
