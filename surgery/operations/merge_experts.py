"""Merge the experts of mixtures with each other."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from typing import Any, Self

import torch
from torch import Tensor, nn

from surgery.calibration.batches import shown
from surgery.calibration.hearing import heard
from surgery.charts import Bars, Chart
from surgery.edits import Edit, SetAttribute, SetModule, SetTensor
from surgery.errors import SurgeryError
from surgery.fields import Found, Targets, option
from surgery.lazy import Lazy, recipe
from surgery.measures import Measured
from surgery.model import Patient
from surgery.modules.mixture import Joined
from surgery.operation import Operation, operation
from surgery.widths.mixtures import Experts, mixtures
from surgery.widths.resizing import flat

Groups = list[int]
"""For each expert the number of the one whose group it is in; that of a dominant one is its own."""


@operation(title="Merge experts", group="merge", source="M-SMoE: Li et al. 2023, arXiv:2310.01334")
class MergeExperts(Operation):
    """Each mixture has `count` experts left; the others are merged into those that they are routed most like.

    Fields: `targets`: mixtures or what contains them; `count`: how many experts each keeps. It runs
    `samples` examples of the session's `data` and counts how often each expert is chosen, f (experts,),
    and how alike the router scores experts, the cosine of their scores over all tokens, (experts,
    experts). The `count` most used are dominant, every other joins the one it is most alike; with `align`
    its neurons are put in the order of those of the dominant one, by linear assignment of largest Σ w·w
    (needs scipy). A group's weights are Σ f W / Σ f, in float32 or wider, equal parts where nobody was
    chosen. The router stays as it is. Experts that are modules share the merged parameters from then on,
    a tie; of stacked ones as many slices are left as groups, and `experts` is wrapped in what knows which
    slice a number means. `measured` holds f and the cosines, `groups` what came of them, so no replay
    needs the data. MACs stay: as many experts are active. Refused: no mixture, families that are not
    proved, no fewer experts than before, adapters inside, experts that are tied already, no data.
    """

    targets: Targets = option(Targets("**"), help="mixtures, or what contains them")
    count: int = option(2, help="how many experts each mixture keeps", minimum=1)
    align: bool = option(True, help="neurons are put in the order of the dominant expert's first")
    samples: int = option(64, help="at most how many examples of the data are run", minimum=1)
    measured: Measured | None = option(None, help="usage and likeness, once they were measured")
    groups: Found | None = option(None, help="which experts became one, as the measure showed")

    def measure(self, patient: Patient, data: Sequence[Any]) -> dict[str, Tensor]:
        found = {item.gate: item for item in self._mixtures(patient)}
        usage = {path: torch.zeros(item.count, dtype=torch.int64) for path, item in found.items()}
        grams = {
            path: torch.zeros(item.count, item.count, dtype=torch.float64) for path, item in found.items()
        }
        most = {path: int(getattr(patient.module(path), "top_k")) for path in found}  # noqa: B009

        def hear(path: str, given: Tensor, scores: Tensor) -> None:
            chosen = scores.float().topk(most[path], dim=-1).indices
            usage[path] += torch.bincount(chosen.flatten(), minlength=len(usage[path])).cpu()
            wide = scores.double().cpu()
            grams[path] += wide.T @ wide

        heard(patient.root, shown(data, self.samples, 0, self.name), found, hear, self.name)
        named: dict[str, Tensor] = {}
        for path, item in found.items():
            if not torch.isfinite(grams[path]).all() or not usage[path].sum():
                raise SurgeryError("no token of these data was routed here", path=path)
            lengths = grams[path].diagonal().clamp(min=torch.finfo(torch.float64).tiny).sqrt()
            named[f"{item.path}.usage"] = usage[path]
            named[f"{item.path}.likeness"] = grams[path] / lengths[:, None] / lengths
        return named

    def with_measure(self, patient: Patient, data: Sequence[Any]) -> Self:
        step = super().with_measure(patient, data)
        if step.groups is not None or step.measured is None or step.measured.tensors is None:
            return step
        found = {item.path: step._joined(item) for item in step._mixtures(patient)}
        changes: dict[str, Any] = {"groups": Found(found)}
        return dataclasses.replace(step, **changes)

    def plan(self, patient: Patient) -> Iterator[Edit]:
        for item in self._mixtures(patient):
            groups = self._groups(item)
            left = sorted(set(groups))
            merged = {lead: self._merged(item, groups, lead) for lead in left}
            if item.stacked:
                yield from _restacked(item, groups, left, merged)
                continue
            for number, lead in enumerate(groups):
                for name, tensor in merged[lead].items():
                    if groups.count(lead) > 1:  # an expert that stays alone stays as it is
                        yield SetTensor(f"{item.path}.experts.{number}.{name}", tensor)

    def chart(self, patient: Patient, data: Sequence[Any]) -> Chart | None:
        """How often the experts of the first mixture are chosen; those that are dominant are marked."""
        if not len(data) and self.measured is None:
            return None
        item = self._mixtures(patient)[0]
        measured = self.measured
        if measured is None:
            changes: dict[str, Any] = {"targets": dataclasses.replace(self.targets, paths=(item.path,))}
            measured = Measured.of(dataclasses.replace(self, **changes).measure(patient, data))
        usage = measured.lazy(f"{item.path}.usage").tensor.double()
        changes = {"measured": measured, "groups": None}
        known = dataclasses.replace(self, **changes)
        return Bars(
            title=f"Use of the experts of {item.path}",
            labels=tuple(str(number) for number in range(item.count)),
            values=tuple((100 * usage / usage.sum()).tolist()),
            unit="%",
            marked=tuple(sorted(set(known._joined(item)))),
        )

    def _mixtures(self, patient: Patient) -> list[Experts]:
        found = mixtures(patient, self.targets)
        for item in found:
            if self.count >= item.count:
                raise SurgeryError(
                    f"has {item.count} experts",
                    path=item.path,
                    got=f"{self.count} to be left",
                    expected=f"from 1 to {item.count - 1}",
                )
            if self.align and (item.neurons is None or find_spec("scipy") is None):
                known = item.neurons is not None
                raise SurgeryError(
                    "neurons are assigned by scipy, which is not installed"
                    if known
                    else "the neurons of its experts are not known, so that they cannot be aligned",
                    path=item.path,
                    hint="`pip install scipy`, or `align=False`" if known else "`align=False`",
                )
        return found

    def _joined(self, item: Experts) -> Groups:
        """What the measure makes of the experts of a mixture."""
        assert self.measured is not None
        usage = self.measured.lazy(f"{item.path}.usage").tensor
        likeness = self.measured.lazy(f"{item.path}.likeness").tensor
        if usage.shape != (item.count,) or likeness.shape != (item.count, item.count):
            raise SurgeryError(
                "was measured with another number of experts",
                path=item.path,
                got=usage.numel(),
                expected=item.count,
            )
        leads = usage.argsort(descending=True, stable=True)[: self.count].sort().values
        nearest = leads[likeness[:, leads].argmax(dim=1)]
        nearest[leads] = leads
        return [int(number) for number in nearest]

    def _groups(self, item: Experts) -> Groups:
        if self.groups is not None:
            return _checked(self.groups.data, item, self.count)
        if self.measured is not None:
            return self._joined(item)
        return [number if number < self.count else 0 for number in range(item.count)]  # as many, in a preview

    def _merged(self, item: Experts, groups: Groups, lead: int) -> dict[str, Lazy]:
        """The tensors of a group as one, by their names."""
        members = [number for number, other in enumerate(groups) if other == lead]
        own = item.tensors(lead)
        if len(members) == 1:
            return own
        if self.measured is None or self.measured.tensors is None:
            return {
                name: recipe("unmeasured", shape=tensor.shape, dtype=tensor.dtype)
                for name, tensor in own.items()
            }
        usage = self.measured.lazy(f"{item.path}.usage").tensor.double()[members]
        shares = usage / usage.sum() if usage.sum() else torch.full_like(usage, 1 / len(members))
        tensors = [own if number == lead else self._aligned(item, own, number) for number in members]
        weights = tuple(shares.tolist())
        return {
            name: recipe("weighted_sum", *(found[name] for found in tensors), weights=weights) for name in own
        }

    def _aligned(self, item: Experts, own: dict[str, Lazy], number: int) -> dict[str, Lazy]:
        """The tensors of an expert with its neurons in the order of those of `own`."""
        theirs = item.tensors(number)
        if not self.align or item.neurons is None:
            return theirs
        count, cuts = item.neurons
        index = recipe(
            "aligned_neurons",
            *(own[name] for name in cuts),
            *(theirs[name] for name in cuts),
            shape=(count,),
            dtype=torch.int64,
            count=count,
            dims=tuple(cut.dim for cut in cuts.values()),
            sections=tuple(value for cut in cuts.values() for value in flat(cut.sections)),
            lengths=tuple(len(cut.sections) for cut in cuts.values()),
        )
        moved = {
            name: recipe(
                "take_units", theirs[name], index, count=count, dim=cut.dim, sections=flat(cut.sections)
            )
            for name, cut in cuts.items()
        }
        return theirs | moved


def _restacked(
    item: Experts, groups: Groups, left: list[int], merged: dict[int, dict[str, Lazy]]
) -> Iterator[Edit]:
    """Stacked experts with a slice for each group, and what says which number means which slice."""
    path = f"{item.path}.experts"
    module: Any = item.patient.module(path)
    for name, whole in item.patient.tensors(path):
        slices = [merged[lead][name] for lead in left]
        shape = (len(left), *whole.shape[1:])
        yield SetTensor(f"{path}.{name}", recipe("stacked", *slices, shape=shape, dtype=whole.dtype, dim=0))
    if "num_experts" in module.__dict__:
        yield SetAttribute(path, "num_experts", len(left))
    places = tuple(left.index(lead) for lead in groups)

    def build(base: nn.Module) -> nn.Module:
        return Joined(base, places).train(base.training)

    yield SetModule(path, build)


def _checked(data: Any, item: Experts, count: int) -> Groups:
    """The groups that a script says; SurgeryError if they are none of this mixture."""
    given = data.get(item.path) if isinstance(data, dict) else None
    found: Groups = given if isinstance(given, list) else []
    if (
        not all(type(number) is int for number in found)
        or len(found) != item.count
        or len(set(found)) != count
        or not all(0 <= number < item.count and found[number] == number for number in found)
    ):
        raise SurgeryError(
            "merge_experts.groups does not fit this mixture", path=item.path, got=str(given)[:60]
        )
    return found
