"""Narrow: fewer neurons, heads, experts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from math import floor
from typing import Any, Literal

import torch

from surgery.edits import Edit, SetAttribute, SetBuffer, SetConfig, SetTensor
from surgery.errors import SurgeryError
from surgery.fields import Found, Targets, option
from surgery.lazy import Held, Lazy, recipe
from surgery.model import Patient
from surgery.operation import Operation, operation
from surgery.widths import KINDS, Cut, Follow, Part
from surgery.widths.channels import channels, frozen, group_of, parts_of, thawed
from surgery.widths.vocabulary import refuse_lost


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
    ones the first; `first` the first ones. Tied parts are narrowed alike and stay tied. The result is as
    if what reads the units that are gone had read zeros. The config follows once all parts of the model
    agree; till then a folder needs `surgery.load`.

    `channels` of convolutions go in groups that hang together: a convolution with its norm, what is added
    to it or multiplied with it, and what reads it (after Fang et al. 2023, arXiv:2301.12900). A group is
    narrowed if all modules that write it are among the targets, others are left as they are. What goes
    in, what comes out, and channels that look at one another (a softmax or LayerNorm over them) stay.

    `experts` of mixtures leave with their rows of the router; where it chooses among groups first, each
    group loses as many, and `kept` are places in a group.

    The `vocabulary` loses its last tokens alone, with `by="first"`: others would change their ids. It is
    found at the input embedding. No id may go that the config, the generation config or the tokenizer names.

    Refused: no such units there, a count that is no whole number of units, a tie that leads out of the
    targets, channels without example inputs.
    """

    targets: Targets = option(help="modules with such units, or what contains them")
    units: Literal["neurons", "channels", "experts", "vocabulary"] = option(
        "neurons", help="what there are fewer of"
    )
    ratio: float | None = option(None, help="part of the units that goes", minimum=0.01, maximum=0.99)
    count: int | None = option(None, help="how many stay in each target", minimum=1)
    kept: tuple[int, ...] = option((), help="places of the units that stay, instead of a number")
    by: Literal["magnitude", "first"] = option("magnitude", help="which units stay")
    found: Found | None = option(None, help="the channels that hang together, as the first run showed")

    def resolved(self, patient: Patient) -> Narrow:
        """Of channels also what hangs together: it is found with example inputs, and without them kept."""
        step = super().resolved(patient)
        if step.units != "channels":
            if step.found is not None:
                raise SurgeryError("narrow.found belongs to channels", got=f"units={step.units}")
            return step
        if patient.inputs is None and step.found is not None:
            return step
        mine = self._mine(channels(patient), step.targets)
        found = frozen(tuple(group_of(part) for part in mine))
        if step.found not in (None, found):
            raise SurgeryError(
                "narrow was recorded on channels that hang together in another way than here",
                path=step.targets.select,
                hint="the model the script was made on, or making the step anew",
            )
        changes: dict[str, Any] = {"found": found}
        return replace(step, **changes)

    def plan(self, patient: Patient) -> Iterator[Edit]:
        if self.units == "channels" and self.found is not None:
            parts = parts_of(patient, thawed(patient, self.found))
        else:
            parts = KINDS[self.units](patient)
        left = {part: self._left(part) for part in self._mine(parts, self.targets)}
        if self.ratio is not None and any(count < part.count for part, count in left.items()):
            left = {
                part: count for part, count in left.items() if count < part.count
            }  # the rest is too small
        for part, count in left.items():
            self._refuse_none(part, count)
            if self.units == "vocabulary":
                self._refuse_other_ids(part)
                refuse_lost(patient, part, count)
        yield from _Plan(patient, left, self).edits()
        yield from _config(patient, parts, left)

    def _mine(self, parts: list[Part], targets: Targets) -> list[Part]:
        """The parts within the targets; SurgeryError if there is none."""
        inside = {
            part: [_within(path, targets.paths) for path in part.members or (part.path,)] for part in parts
        }
        mine = [part for part in parts if all(inside[part])]
        if mine:
            return mine
        if cut := next((part for part in parts if any(inside[part])), None):
            outside = [path for path in cut.members if not _within(path, targets.paths)]
            raise SurgeryError(
                f"its {self.units} are also those of modules that are not among the targets",
                path=next(path for path in cut.members if path not in outside),
                got=", ".join(outside[:4]) + (f" and {len(outside) - 4} more" if len(outside) > 4 else ""),
                hint="all of them as targets, or what contains them",
            )
        raise SurgeryError(
            f"has no {self.units} that could be taken apart",
            path=targets.select,
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
                    f"its {self.units} go in groups of {part.per_unit}",
                    path=part.path,
                    got=self.count,
                    expected=f"a multiple of {part.per_unit}",
                )
        else:
            left = part.count - floor(Fraction(repr(self.ratio)) * part.count)
        return left

    def _refuse_none(self, part: Part, left: int) -> None:
        if not part.least <= left < part.count:
            raise SurgeryError(
                f"has {part.count * part.per_unit} {self.units}",
                path=part.path,
                got=f"{left * part.per_unit} to be left",
                expected=f"from {part.least * part.per_unit} to {(part.count - 1) * part.per_unit}",
            )

    def _refuse_other_ids(self, part: Part) -> None:
        """A token must keep its id: a tokenizer and the settings of generation go by it."""
        first = self.by == "first" if not self.kept else self.kept == tuple(range(len(self.kept)))
        if not first:
            raise SurgeryError(
                "the tokens that stay would have other ids, which no tokenizer knows of",
                path=part.path,
                expected="the first ones",
                hint='`by="first"`',
            )

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

    def __init__(self, patient: Patient, left: dict[Part, int], step: Narrow) -> None:
        self.patient, self.left, self.step = patient, left, step
        self.indices: dict[tuple[tuple[int, Cut], ...], Lazy] = {}
        self.taken: dict[tuple[int, int, int, tuple[int, ...]], Lazy] = {}

    def edits(self) -> Iterator[Edit]:
        indices = {part: self._index(part) for part in self.left}
        cuts: dict[str, list[tuple[Part, Cut]]] = {}
        falls: dict[tuple[str, str], int] = {}
        for part, left in self.left.items():
            for cut in part.cuts:
                cuts.setdefault(cut.path, []).append((part, cut))
            for follow in part.follows:
                key = (follow.path, follow.name)
                falls[key] = falls.get(key, 0) + (part.count - left) * follow.size
        made = {path: self._narrowed(path, here, indices) for path, here in cuts.items()}
        self._refuse_ties_outwards(made)
        for path, tensor in made.items():
            yield SetTensor(path, tensor) if self.patient.buffer(path) is None else SetBuffer(path, tensor)
        for (path, name), gone in falls.items():
            yield SetAttribute(path, name, getattr(self.patient.module(path), name) - gone)

    def _tensor(self, path: str) -> Held:
        return self.patient.buffer(path) or self.patient.tensor(path)

    def _index(self, part: Part) -> Lazy:
        """The places that stay, chosen once for parts that share all their tensors."""
        tensors = [self._tensor(cut.path) for cut in part.cuts]
        key = tuple(
            (id(tensor.parameter), replace(cut, path=""))
            for cut, tensor in zip(part.cuts, tensors, strict=True)
        )
        if key not in self.indices:
            self.indices[key] = self._choice(part, tensors)
        return self.indices[key]

    def _choice(self, part: Part, tensors: list[Held]) -> Lazy:
        left = self.left[part]
        if self.step.kept or self.step.by == "first":
            places = self.step.kept or tuple(range(left))
            return recipe("chosen", shape=(left,), dtype=torch.int64, places=places)
        once = {
            (id(tensor.parameter), cut.dim, cut.sections): (cut, tensor)  # a tied tensor counts once
            for cut, tensor in zip(part.cuts, tensors, strict=True)
            if cut.scored
        }
        scored = list(once.values())
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

    def _narrowed(self, path: str, here: list[tuple[Part, Cut]], indices: dict[Part, Lazy]) -> Lazy:
        """The tensor after all its cuts; each moves the sections of those that follow."""
        tensor: Lazy = self._tensor(path)
        gone: list[tuple[int, int, int]] = []
        for part, cut in here:
            fewer = part.count - self.left[part]
            sections = [
                (start - sum(less for dim, place, less in gone if dim == cut.dim and place < start), size)
                for start, size in cut.sections
            ]
            gone += [(cut.dim, start, fewer * size) for start, size in cut.sections]
            tensor = self._taken(tensor, part, replace(cut, sections=tuple(sections)), indices[part])
        return tensor

    def _taken(self, tensor: Lazy, part: Part, cut: Cut, index: Lazy) -> Lazy:
        sections = tuple(number for pair in cut.sections for number in pair)
        source = id(tensor.parameter) if isinstance(tensor, Held) else id(tensor)
        key = (source, id(index), cut.dim, sections)
        if key not in self.taken:
            shape = list(tensor.shape)
            shape[cut.dim] -= (part.count - self.left[part]) * sum(size for _, size in cut.sections)
            self.taken[key] = recipe(
                "take_units",
                tensor,
                index,
                shape=tuple(shape),
                count=part.count,
                dim=cut.dim,
                sections=sections,
            )
        return self.taken[key]

    def _refuse_ties_outwards(self, made: dict[str, Lazy]) -> None:
        """Every path of a tensor must have been cut, and in the same way, or a tie would break unseen."""
        for places in [*self.patient.sites().values(), *self.patient.buffer_sites().values()]:
            inside = [place for place in places if place in made]
            if len({id(made[place]) for place in inside}) > 1 or len(inside) not in (0, len(places)):
                outside = next((place for place in places if place not in inside), places[-1])
                raise SurgeryError(
                    "is tied to a place that would not be narrowed with it",
                    path=sorted(inside)[0],
                    got=outside,
                    hint=f'`untie("{outside.rpartition(".")[0]}")` first, or both among the targets',
                )


def _within(path: str, targets: tuple[str, ...]) -> bool:
    return any(target in ("", path) or path.startswith(f"{target}.") for target in targets)


def _config(patient: Patient, parts: list[Part], left: dict[Part, int]) -> Iterator[Edit]:
    """What the model says of all its parts, once it is the same for every part that goes by it."""
    agreed: dict[Follow, set[int]] = {}
    for part in parts:
        for follow in part.agreed:
            agreed.setdefault(follow, set()).add(left.get(part, part.count))
    for follow, found in agreed.items():
        if len(found) == 1:
            yield SetAttribute(follow.path, follow.name, found.pop() * follow.size)
    counts: dict[tuple[str, int], set[int]] = {}
    for part in parts:
        for entry in part.config:
            counts.setdefault(entry, set()).add(left.get(part, part.count))
    for (name, size), found in counts.items():
        if len(found) == 1 and hasattr(patient.config, name):
            yield SetConfig(name, found.pop() * size)
            for part in parts:
                for fixed, value in part.fixed:
                    yield SetConfig(fixed, value)
