"""Narrow: fewer neurons, heads, experts."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from math import floor
from typing import Any, Literal

import torch

from surgery.adapters.lora import LoraLinear
from surgery.edits import Edit, SetAttribute, SetConfig, SetTensor
from surgery.errors import SurgeryError
from surgery.fields import Targets, option
from surgery.lazy import Held, Lazy, recipe
from surgery.model import Patient
from surgery.operation import Operation, operation
from surgery.widths import KINDS, Cut, Part


@operation(
    title="Narrow",
    group="prune",
    source="structured magnitude pruning after Li et al. 2016, arXiv:1608.08710",
)
class Narrow(Operation):
    """The targets have fewer units of a kind, whole slices of their weights are gone, shapes shrink.

    Fields: `targets`: modules with such units or what contains them; `units`: their kind; `ratio` in
    (0, 1): the part of each target's units that goes, ⌊ratio · n⌋; or `count`: how many each keeps; or
    `kept`: the very places that stay, from 0. `by`: `magnitude` keeps the units of largest Σw², of equal
    ones the first; `first` the first ones. Heads that share keys and values go together: `count` then is a
    number of query heads, `kept` are places of such groups. Tied parts are narrowed alike and stay tied.
    The result is as if what is gone had led nowhere. The config follows once all parts of the model agree
    and if it can say it; else a folder needs `surgery.load`. Refused: no such units there, a count that is
    no whole number of units, a tie that leads out of the targets, modules under adapters.
    """

    targets: Targets = option(help="modules with such units, or what contains them")
    units: Literal["neurons", "heads"] = option("neurons", help="what there are fewer of")
    ratio: float | None = option(None, help="part of the units that goes", minimum=0.01, maximum=0.99)
    count: int | None = option(None, help="how many stay in each target", minimum=1)
    kept: tuple[int, ...] = option((), help="places of the units that stay, from 0, instead of a number")
    by: Literal["magnitude", "first"] = option("magnitude", help="which units stay")

    def plan(self, patient: Patient) -> Iterator[Edit]:
        parts = KINDS[self.units](patient)
        mine = [part for part in parts if _within(part.path, self.targets.paths)]
        if not mine:
            raise self._nothing(patient, parts)
        for part in mine:
            _refuse(patient, part)
        left = {part.path: self._left(part) for part in mine}
        _refuse_unlike(parts, left)
        yield from _Plan(patient, mine, left, self).edits()
        yield from _config(patient, parts, left)

    def _nothing(self, patient: Patient, parts: list[Part]) -> SurgeryError:
        """Why nothing is narrowed: the targets are a piece of something, or there is nothing at all."""
        for part in parts:
            if any(_within(cut.path, self.targets.paths) for cut in part.cuts):
                return SurgeryError(
                    f"has only a piece of what its {self.units} are made of",
                    path=self.targets.select,
                    hint=f"`{part.path}`",
                )
        return SurgeryError(
            f"has no {self.units} that narrow knows how to take apart",
            path=self.targets.select,
            got=None if parts else type(patient.root).__name__,
            hint=f"`{parts[0].path}`" if parts else None,
        )

    def _left(self, part: Part) -> int:
        """How many units stay in this part."""
        given = [value for value in (self.ratio, self.count, self.kept or None) if value is not None]
        if len(given) != 1:
            raise SurgeryError(
                "narrow needs one of ratio, count and kept", got=f"{len(given)} of them", hint="`ratio=0.5`"
            )
        if self.kept:
            left = self._places(part)
        elif self.count is not None:
            left, rest = divmod(self.count, part.per_unit)
            if rest:
                raise SurgeryError(
                    f"its {self.units} come in groups of {part.per_unit}, which share keys and values",
                    path=part.path,
                    got=self.count,
                    expected=f"a multiple of {part.per_unit}",
                )
        else:
            left = part.count - floor(Fraction(repr(self.ratio)) * part.count)
        if not part.least <= left < part.count:
            raise SurgeryError(
                f"has {part.count * part.per_unit} {self.units}",
                path=part.path,
                got=f"{left * part.per_unit} to be left",
                expected=f"from {part.least * part.per_unit} to {(part.count - 1) * part.per_unit}",
            )
        return left

    def _places(self, part: Part) -> int:
        if sorted(set(self.kept)) != list(self.kept) or not 0 <= self.kept[0] <= self.kept[-1] < part.count:
            raise SurgeryError(
                "these are no places of its units",
                path=part.path,
                got=", ".join(str(place) for place in self.kept[:8]),
                expected=f"ascending places from 0 to {part.count - 1}",
            )
        return len(self.kept)


class _Plan:
    """The edits of one step; what is tied is computed once and stays tied."""

    def __init__(self, patient: Patient, parts: list[Part], left: dict[str, int], step: Narrow) -> None:
        self.patient, self.parts, self.left, self.step = patient, parts, left, step
        self.indices: dict[tuple[int, ...], Lazy] = {}
        self.taken: dict[tuple[int, int, int, tuple[tuple[int, int], ...]], Lazy] = {}
        self.covered: dict[int, set[str]] = {}

    def edits(self) -> Iterator[Edit]:
        for part in self.parts:
            index = self._index(part)
            for cut in part.cuts:
                yield SetTensor(cut.path, self._narrowed(part, cut, index))
            for follow in part.follows:
                value = self.left[part.path] * follow.size + follow.fixed
                yield SetAttribute(follow.path, follow.name, value)
        self._refuse_ties_outwards()

    def _index(self, part: Part) -> Lazy:
        """The places that stay, chosen once for parts that share all their tensors."""
        tensors = [self.patient.tensor(cut.path) for cut in part.cuts]
        key = tuple(id(tensor.parameter) for tensor in tensors)
        if key not in self.indices:
            self.indices[key] = self._choice(part, tensors)
        return self.indices[key]

    def _choice(self, part: Part, tensors: list[Held]) -> Lazy:
        left = self.left[part.path]
        if self.step.kept or self.step.by == "first":
            places = self.step.kept or tuple(range(left))
            return recipe("chosen", shape=(left,), dtype=torch.int64, places=places)
        scored = [(cut, tensor) for cut, tensor in zip(part.cuts, tensors, strict=True) if cut.scored]
        wide = torch.float32
        for _, tensor in scored:
            wide = torch.promote_types(wide, tensor.dtype)
        scores = recipe(
            "unit_energies",
            *(tensor for _, tensor in scored),
            shape=(part.count,),
            dtype=wide,
            count=part.count,
            dims=tuple(cut.dim for cut, _ in scored),
            sections=tuple(number for cut, _ in scored for pair in cut.sections for number in pair),
            lengths=tuple(len(cut.sections) for cut, _ in scored),
        )
        return recipe("largest", scores, shape=(left,), dtype=torch.int64, keep=left)

    def _narrowed(self, part: Part, cut: Cut, index: Lazy) -> Lazy:
        tensor = self.patient.tensor(cut.path)
        self.covered.setdefault(id(tensor.parameter), set()).add(cut.path)
        key = (id(tensor.parameter), id(index), cut.dim, cut.sections)
        if key not in self.taken:
            shape = list(tensor.shape)
            shape[cut.dim] -= (part.count - self.left[part.path]) * sum(size for _, size in cut.sections)
            self.taken[key] = recipe(
                "take_units",
                tensor,
                index,
                shape=tuple(shape),
                count=part.count,
                dim=cut.dim,
                sections=tuple(number for pair in cut.sections for number in pair),
            )
        return self.taken[key]

    def _refuse_ties_outwards(self) -> None:
        """Every path of a tensor must have been cut, and in the same way, or a tie would break unseen."""
        made: dict[int, int] = {}
        for parameter, *_ in self.taken:
            made[parameter] = made.get(parameter, 0) + 1
        for parameter, places in self.patient.sites().items():
            inside = self.covered.get(parameter, set())
            if inside and (made[parameter] > 1 or inside != set(places)):
                outside = next((place for place in places if place not in inside), places[-1])
                raise SurgeryError(
                    "is tied to a place that would not be narrowed with it",
                    path=sorted(inside)[0],
                    got=outside,
                    hint=f'`untie("{outside.rpartition(".")[0]}")` first, or both among the targets',
                )


def _within(path: str, targets: tuple[str, ...]) -> bool:
    return any(target in ("", path) or path.startswith(f"{target}.") for target in targets)


def _refuse(patient: Patient, part: Part) -> None:
    """SurgeryError for a part that cannot be narrowed, or has adapters inside."""
    if part.refused:
        raise SurgeryError(part.refused, path=part.path, hint=part.hint)
    for cut in part.cuts:
        path = cut.path
        while "." in path:
            path = path.rpartition(".")[0]
            if isinstance(patient.module(path), LoraLinear):
                raise SurgeryError(
                    "is under an adapter, which has the widths of now",
                    path=path,
                    hint=f'`fold("{path}")` or `detach("{path}")` first',
                )


def _refuse_unlike(parts: list[Part], left: dict[str, int]) -> None:
    """SurgeryError if parts that must have equally many units would not."""
    found: dict[str, tuple[str, int]] = {}
    for part in parts:
        count = left.get(part.path, part.count)
        if part.alike:
            path, other = found.setdefault(part.alike, (part.path, count))
            if count != other:
                raise SurgeryError(
                    f"must be left with as many as {path}, whose number goes for both",
                    path=part.path,
                    got=f"{count * part.per_unit} and {other * part.per_unit}",
                    hint=f'`narrow("{part.alike}", …)`, which takes them all',
                )


def _config(patient: Patient, parts: list[Part], left: dict[str, int]) -> Iterator[Edit]:
    """The config's figures, once they are the same for every part that goes by them.

    A figure that no part goes by now means something else, and stays; so does what the config refuses.
    """
    if patient.model_type is None:
        return
    changes = _agreed(patient.config, parts, left)
    if changes and not _accepts(patient.config, changes):
        changes = {}
    for part in parts:
        if part.reads_config and part.path in left and not changes.keys() >= dict(part.config).keys():
            raise SurgeryError(
                "reads its widths from the config, which does not take the new ones",
                path=part.path,
                got=", ".join(f"{name} = {left[part.path] * size}" for name, size in part.config),
            )
    for name, value in changes.items():
        yield SetConfig(name, value)


def _agreed(config: Any, parts: list[Part], left: dict[str, int]) -> dict[str, int]:
    """What the config is to say: figures that all parts agree on, those of one part all or none."""
    wanted: dict[str, set[int]] = {}
    before: dict[str, set[int]] = {}
    for part in parts:
        for name, size in part.config:
            wanted.setdefault(name, set()).add(left.get(part.path, part.count) * size)
            before.setdefault(name, set()).add(part.count * size)
        for name, value in part.fixed:
            wanted.setdefault(name, set()).add(value)
    there = {name: getattr(config, name) for name in before if hasattr(config, name)}
    lost = {name for name, said in there.items() if said is not None and said not in before[name]}
    lost |= {name for name, values in wanted.items() if len(values) > 1}
    changes: dict[str, int] = {}
    for part in parts:
        names = [name for name, _ in part.config if name in there] + [name for name, _ in part.fixed]
        if there.keys() & set(names) and not lost & set(names):
            changes |= {name: next(iter(wanted[name])) for name in names}
    return changes


def _accepts(config: Any, changes: dict[str, int]) -> bool:
    """Whether the config's class takes these values; some want heads that divide the hidden width."""
    names = {getattr(config, "attribute_map", {}).get(name, name): value for name, value in changes.items()}
    try:
        type(config).from_dict(config.to_dict() | names)
    except Exception:  # its validation raises what it likes
        return False
    return True
