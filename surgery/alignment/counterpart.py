"""The units of another model beside this one's: how many each group has there, and where they lie.

The widths are read off the shapes of the other model's tensors, so that nothing of it has to run.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from torch import nn
from torch.nn.modules.conv import _ConvNd, _ConvTransposeNd

from surgery.adapters.lora import is_linear, is_transposed
from surgery.alignment.units import Units
from surgery.errors import SurgeryError
from surgery.model import Patient
from surgery.widths.part import Cut

Shape = tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Meeting:
    """A group where it lies along a dimension of a tensor, in this model's and in the other's.

    `count`: how many units the other has. `reads`: the layer sums over them, so that where one of the other's
    units stands for several here, or several for one, they share what reads them.
    """

    group: Units
    mine: Cut
    theirs: Cut
    count: int
    reads: bool

    @property
    def factor(self) -> float:
        """What the other's entries have to be multiplied by to be of this model's size."""
        return self.count / self.group.count if self.reads else 1.0


Along = Mapping[int, tuple[Meeting, ...]]
"""The groups that lie in a tensor, by dimension."""


@dataclass(frozen=True, eq=False)
class Counterpart:
    """The other model's `counts` of units by the names of the groups."""

    patient: Patient
    groups: Sequence[Units]
    counts: Mapping[str, int]

    @classmethod
    def alike(cls, patient: Patient, groups: Sequence[Units]) -> Counterpart:
        """One that is as wide as this model everywhere."""
        return cls(patient, groups, {group.name: group.count for group in groups})

    @classmethod
    def of(cls, patient: Patient, groups: Sequence[Units], shapes: Mapping[str, Shape]) -> Counterpart:
        """The one whose tensors have these `shapes` by path; SurgeryError for shapes that do not agree."""
        made = cls(patient, groups, _counts(patient, cls.alike(patient, groups), shapes))
        for path in shapes:
            made.meet([path])  # refuses what nobody knows how to share
            made._refuse_scaled(path)
        return made

    @cached_property
    def _cuts(self) -> dict[str, list[tuple[Units, Cut]]]:
        found: dict[str, list[tuple[Units, Cut]]] = {}
        for group in self.groups:
            for cut in group.cuts:
                found.setdefault(cut.path, []).append((group, cut))
        return found

    def meet(self, places: Sequence[str]) -> Along:
        """What lies in the tensor at these paths, each group once; SurgeryError as above."""
        found: dict[int, list[tuple[Units, Cut]]] = {}
        for place in places:
            for group, cut in self._cuts.get(place, ()):
                here = found.setdefault(cut.dim, [])
                if (group, cut.sections) not in [(other, known.sections) for other, known in here]:
                    here.append((group, cut))  # the same at every path of a tie
        return {dim: self._along(here, places) for dim, here in sorted(found.items())}

    def _refuse_scaled(self, path: str) -> None:
        """SurgeryError for an embedding that goes by its width in a number, as Gemma's does by its root."""
        module = self.patient.module(path.rpartition(".")[0])
        scale = getattr(module, "embed_scale", 1.0)
        for group, _ in self._cuts.get(path, ()):
            if self.counts[group.name] != group.count and float(scale) != 1.0:
                raise SurgeryError(
                    "multiplies what it embeds by a number that goes by the width, and the parent's differs",
                    path=path.rpartition(".")[0],
                    got=f"{self.counts[group.name]} {_noun(group)} in the parent",
                    expected=group.count,
                    hint="a parent of the same width here",
                )

    def _along(self, here: list[tuple[Units, Cut]], places: Sequence[str]) -> tuple[Meeting, ...]:
        wider = [
            (start, (self.counts[group.name] - group.count) * size)
            for group, cut in here
            for start, size in cut.sections
        ]
        found = []
        for group, cut in here:
            sections = tuple(
                (start + sum(more for place, more in wider if place < start), size)
                for start, size in cut.sections
            )
            count = self.counts[group.name]
            reads = count != group.count and self._is_read(group, cut.dim, places)
            found.append(Meeting(group, cut, replace(cut, sections=sections), count, reads))
        return tuple(found)

    def _is_read(self, group: Units, dim: int, places: Sequence[str]) -> bool:
        """Whether what has the tensor sums over its dimension; SurgeryError where that is not known."""
        said = {place: _sums(self.patient, place, dim) for place in places}
        unknown = next((place for place, known in said.items() if known is None), None)
        if unknown is not None:
            raise SurgeryError(
                f"holds {_noun(group)} of {group.path}, and whether it sums over them is not known",
                path=unknown,
                got=f"{self.counts[group.name]} of them in the parent",
                expected=group.count,
                hint="a parent of the same width here",
            )
        if len(set(said.values())) > 1:
            reader = next(place for place, known in said.items() if known)
            raise SurgeryError(
                f"is tied, reads {_noun(group)} at one place and writes them at another: with another number "
                "of them in the parent it would have to be carried in two ways",
                path=reader,
                got=f"{self.counts[group.name]} of them in the parent",
                expected=group.count,
                hint=f'`untie("{reader.rpartition(".")[0]}")` first',
            )
        return bool(said[places[0]])


def numbers(meetings: Sequence[Meeting]) -> dict[str, tuple[int, ...]]:
    """What meets along a dimension, as `carry_units` and `layout` take it."""
    return {
        "counts": tuple(count for each in meetings for count in (each.group.count, each.count)),
        "reads": tuple(int(each.reads) for each in meetings),
        "lengths": tuple(len(each.mine.sections) for each in meetings),
        "sections": tuple(
            number
            for each in meetings
            for (start, size), (other, _) in zip(each.mine.sections, each.theirs.sections, strict=True)
            for number in (start, other, size)
        ),
    }


def inputs_of(module: nn.Module, name: str = "weight") -> int | None:
    """Along which dimension of its tensor a layer's inputs lie; None where that is not all of them."""
    if isinstance(module, nn.MultiheadAttention):
        return 1 if name in ("in_proj_weight", "q_proj_weight", "k_proj_weight", "v_proj_weight") else None
    if name != "weight":
        return None
    if isinstance(module, _ConvNd):
        return None if module.groups > 1 else 0 if isinstance(module, _ConvTransposeNd) else 1
    return (0 if is_transposed(module) else 1) if is_linear(module) else None


def _sums(patient: Patient, path: str, dim: int) -> bool | None:
    """Whether a tensor's owner sums over a dimension of it; None where nobody knows."""
    where, _, name = path.rpartition(".")
    module = patient.module(where)
    shape = (patient.buffer(path) or patient.tensor(path)).shape
    if (inputs := inputs_of(module, name)) is not None:
        return dim == inputs
    if isinstance(module, _ConvNd):  # of groups, which are units: within one all inputs are summed
        return dim == 1 and not isinstance(module, _ConvTransposeNd)
    if (
        isinstance(module, nn.Embedding | nn.MultiheadAttention)
        or len([size for size in shape if size > 1]) < 2
    ):
        return False
    return False if shape[0] == 1 else None  # it is there for all examples, as learnt positions are


def _counts(patient: Patient, mine: Counterpart, shapes: Mapping[str, Shape]) -> dict[str, int]:
    """How many units each group has, from sizes in which only one group's number is not known yet."""
    sizes = []
    for path, shape in shapes.items():
        own = (patient.buffer(path) or patient.tensor(path)).shape
        for dim, meetings in mine.meet([path]).items():
            entries: dict[Units, int] = {}
            for meeting in meetings:
                size = sum(size for _, size in meeting.mine.sections)
                entries[meeting.group] = entries.get(meeting.group, 0) + size
            sizes.append((path, shape, own, dim, entries))
    counts: dict[str, int] = {}
    while sizes:
        waiting = []
        for item in sizes:
            path, shape, own, dim, entries = item
            unknown = [group for group in entries if group.name not in counts]
            if len(unknown) > 1:
                waiting.append(item)
                continue
            more = shape[dim] - own[dim]
            more -= sum((counts[g.name] - g.count) * size for g, size in entries.items() if g not in unknown)
            for group in unknown:
                extra, more = divmod(more, entries[group])
                counts[group.name] = group.count + extra
            if more or any(counts[group.name] < 1 for group in entries):
                raise _disagree(path, shape, own, list(entries), counts)
        if len(waiting) == len(sizes):  # only sums are known: as here, or else refused in the next round
            counts = {group.name: group.count for group in waiting[0][4]} | counts
        sizes = waiting
    return {group.name: counts.get(group.name, group.count) for group in mine.groups}


def _noun(group: Units) -> str:
    return "entries of the width" if group.kind == "width" else group.kind


def _disagree(
    path: str, shape: Shape, own: Shape, groups: Sequence[Units], counts: Mapping[str, int]
) -> SurgeryError:
    held = ", ".join(f"{counts[group.name]} {_noun(group)} of {group.path}" for group in groups)
    return SurgeryError(
        "the parent's shape is not that of a model that differs in widths alone: by its other tensors it has "
        f"{held}, each with as many entries as here",
        path=path,
        got=list(shape),
        expected=f"{list(own)}, or wider or narrower with all that hangs together",
    )
