"""How alike the units of two models answer the same data.

Both models run the same batches. What a unit holds is what the layers get that read it, at every example and
place; the units are matched by the correlations of these values (Li et al. 2015, arXiv:1511.07543).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd

from surgery.alignment.counterpart import Counterpart, Meeting, inputs_of
from surgery.alignment.units import Units
from surgery.calibration.batches import Shown, run
from surgery.devices import device_of
from surgery.errors import SurgeryError
from surgery.recipes import one_thread
from surgery.widths.part import Cut

Inputs = dict[str, list[Tensor]]
"""By the path of a module what it got, call after call, its features last."""


def correlations(
    other: Counterpart, mine: nn.Module, theirs: nn.Module, data: Sequence[Any], verb: str
) -> dict[str, Tensor]:
    """Of each group that a layer reads, by name, unit i here with unit j there: (count, theirs) float64.

    Sums over the layers that read it, and over the entries of a unit. A unit that never changes has 0.
    """
    if not data:
        raise SurgeryError(
            "matching by activations needs data to run both models on",
            hint="`s.data = [batch, …]`, each as the model takes it, or weights to match them by",
        )
    readers = {group: reading for group in other.groups if (reading := _readers(other, group))}
    if not readers:
        return {}
    sums: dict[Units, list[_Sums]] = {group: [_Sums() for _ in each] for group, each in readers.items()}
    paths = sorted({path for each in readers.values() for path, _ in each})
    with torch.no_grad(), one_thread(), torch.random.fork_rng():
        for batch in data:
            one, two = (_seen(model, paths, batch, verb) for model in (mine, theirs))
            for group, reading in readers.items():
                for total, (path, met) in zip(sums[group], reading, strict=True):
                    for x, y in zip(one[path], two[path], strict=True):
                        total.add(_values(x, met.mine, group.count), _values(y, met.theirs, met.count))
    return {
        group.name: torch.stack([each.correlations() for each in there]).sum(0)
        for group, found in sums.items()
        if (there := _enough(group, other.counts[group.name], found))
    }


def _enough(group: Units, theirs: int, found: list[_Sums]) -> list[_Sums]:
    """Those that saw as many values as there are units; SurgeryError if all that saw any saw fewer."""
    units = max(group.count, theirs)
    there = [each for each in found if each.samples >= units]
    most = max(each.samples for each in found)
    if most and not there:
        raise SurgeryError(
            f"has {units} units, and these data show too few values of each to tell them apart",
            path=group.path,
            got=f"{most} values",
            expected=f"at least {units}",
            hint="more batches in `s.data`",
        )
    return there


class _Sums:
    """What the correlations of units of both models are made from, batch by batch, in float64.

    The units of the two need not be equally many.
    """

    def __init__(self) -> None:
        self.samples = 0
        self.x = self.y = self.xx = self.yy = self.xy = torch.zeros(())

    def add(self, x: Tensor, y: Tensor) -> None:
        """Values of both: (samples, units, entries)."""
        self.samples += len(x)
        self.x, self.y = self.x + x.sum(0), self.y + y.sum(0)
        self.xx, self.yy = self.xx + (x * x).sum(0), self.yy + (y * y).sum(0)
        self.xy = self.xy + torch.einsum("nis,njs->ijs", x, y)

    def correlations(self) -> Tensor:
        """Of unit i here with unit j there, summed over entries: (count, theirs); 0 of what is constant."""
        n = self.samples
        shared = self.xy / n - (self.x / n)[:, None] * (self.y / n)[None]
        spread = [(square / n - (total / n) ** 2).clamp(min=0).sqrt() for square, total in self._squares()]
        scale = spread[0][:, None] * spread[1][None]
        return torch.where(scale > 1e-12, shared / scale.clamp(min=1e-12), 0.0).sum(-1)

    def _squares(self) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
        return (self.xx, self.x), (self.yy, self.y)


def _readers(other: Counterpart, group: Units) -> list[tuple[str, Meeting]]:
    """The layers that get the units, by path, and where they lie in what they get; each layer once."""
    found: dict[nn.Module, tuple[str, Meeting]] = {}
    for cut in group.cuts:
        path, _, name = cut.path.rpartition(".")
        module = other.patient.module(path)
        if name == "weight" and cut.dim == inputs_of(module):
            for meeting in other.meet([cut.path])[cut.dim]:
                if meeting.group is group:
                    found.setdefault(module, (path, meeting))
    return list(found.values())


def _seen(model: nn.Module, paths: Sequence[str], batch: Any, verb: str) -> Inputs:
    """What the modules at the paths get while the model runs a batch."""
    found: Inputs = {path: [] for path in paths}

    def keep(path: str, module: nn.Module, args: tuple[Any, ...]) -> None:
        if args and isinstance(args[0], Tensor):
            features = 1 if isinstance(module, _ConvNd) else -1
            found[path].append(args[0].detach().movedim(features, -1).cpu().double())

    handles = [
        model.get_submodule(path).register_forward_pre_hook(
            lambda module, args, path=path: keep(path, module, args)
        )
        for path in paths
    ]
    try:
        run(model, Shown(batch, 1), device_of(model), verb)
    finally:
        for handle in handles:
            handle.remove()
    return found


def _values(states: Tensor, cut: Cut, count: int) -> Tensor:
    """What the units hold: (samples, count, entries)."""
    flat = states.reshape(-1, states.shape[-1])
    pieces = [flat[:, start : start + count * size].reshape(-1, count, size) for start, size in cut.sections]
    return torch.cat(pieces, 2)
