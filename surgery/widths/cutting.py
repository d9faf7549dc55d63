"""The edits that cut units out of parts: recipes that choose and take, and the figures that follow."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import torch

from surgery.edits import Edit, SetAttribute, SetBuffer, SetConfig, SetTensor
from surgery.errors import SurgeryError
from surgery.lazy import Held, Lazy, recipe
from surgery.model import Patient
from surgery.widths.part import Cut, Follow, Part


class Cutting:
    """The edits that leave each part as many units as `left` says; what is tied stays tied.

    `kept` are the places that stay; without them `by` says how they are chosen.
    """

    def __init__(self, patient: Patient, left: dict[Part, int], kept: tuple[int, ...], by: str) -> None:
        self.patient, self.left, self.kept, self.by = patient, left, kept, by
        self.indices: dict[tuple[tuple[int, Cut], ...], Lazy] = {}
        self.taken: dict[tuple[int, int, int, tuple[int, ...]], Lazy] = {}

    def edits(self) -> Iterator[Edit]:
        """Tensors and buffers, then the attributes that say how wide they are."""
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
        if self.kept or self.by == "first":
            places = self.kept or tuple(range(left))
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


def config_edits(patient: Patient, parts: list[Part], left: dict[Part, int]) -> Iterator[Edit]:
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
