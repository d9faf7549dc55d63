"""The edits after which parts have fewer or more units: tensors, their ties, the figures that follow."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import nn

from graph.tree import join
from surgery.edits import Edit, SetAttribute, SetBuffer, SetModule, SetTensor
from surgery.errors import SurgeryError
from surgery.lazy import Held, Lazy, recipe
from surgery.model import Patient, private_shell
from surgery.widths.part import Cut, Part


class Resizing(ABC):
    """The edits that give each part as many units as `left` says; what is tied stays tied.

    Subclasses say what one tensor becomes, and what was `done` to it.
    """

    done: str

    def __init__(self, patient: Patient, left: dict[Part, int]) -> None:
        self.patient, self.left = patient, left
        self.grown: dict[tuple[int, float, float], Lazy] = {}

    def edits(self) -> Iterator[Edit]:
        """Tensors and buffers, then the attributes that say how wide they are."""
        cuts: dict[str, list[tuple[Part, Cut]]] = {}
        falls: dict[tuple[str, str], int] = {}
        for part, left in self.left.items():
            for cut in part.cuts:
                cuts.setdefault(cut.path, []).append((part, cut))
            for follow in part.follows:
                key = (follow.path, follow.name)
                falls[key] = falls.get(key, 0) + (part.count - left) * follow.size
        made = {path: self._after_all(path, here) for path, here in cuts.items()}
        for part, left in self.left.items():
            for gain in part.gains:
                made[gain.path] = self._grown(made[gain.path], (part.count / left) ** 0.5, gain.offset)
        self._refuse_ties_outwards(made)
        for path, tensor in made.items():
            yield SetTensor(path, tensor) if self.patient.buffer(path) is None else SetBuffer(path, tensor)
        for (path, name), gone in falls.items():
            before = getattr(self.patient.module(path), name)
            fewer = (*before[:-1], before[-1] - gone) if isinstance(before, tuple) else before - gone
            yield SetAttribute(path, name, fewer)
        for part, left in self.left.items():
            for rate in part.rates:
                value = getattr(self.patient.module(rate.path), rate.name)
                yield SetAttribute(rate.path, rate.name, rated(value, part.count, left))
            yield from (SetModule(path, partial(_scaled_by, root=left**0.5)) for path in part.roots)

    @abstractmethod
    def resized(self, tensor: Lazy, part: Part, cut: Cut, shape: tuple[int, ...]) -> Lazy:
        """`tensor` with as many of the part's units as are left, of this shape; of a tie one node."""

    def _grown(self, tensor: Lazy, factor: float, offset: float) -> Lazy:
        """`tensor`, with `offset` added, times `factor`; of a tie one node."""
        key = (node_of(tensor), factor, offset)
        if key not in self.grown:
            self.grown[key] = recipe(
                "grown", tensor, shape=tensor.shape, dtype=tensor.dtype, factor=factor, offset=offset
            )
        return self.grown[key]

    def tensor(self, path: str) -> Held:
        """The parameter or buffer at `path`."""
        return self.patient.buffer(path) or self.patient.tensor(path)

    def _after_all(self, path: str, here: list[tuple[Part, Cut]]) -> Lazy:
        """The tensor after all its cuts; each moves the sections of those that follow."""
        tensor: Lazy = self.tensor(path)
        gone: list[tuple[int, int, int]] = []
        for part, cut in here:
            fewer = part.count - self.left[part]
            sections = [
                (start - sum(less for dim, place, less in gone if dim == cut.dim and place < start), size)
                for start, size in cut.sections
            ]
            gone += [(cut.dim, start, fewer * size) for start, size in cut.sections]
            shape = list(tensor.shape)
            shape[cut.dim] -= fewer * sum(size for _, size in cut.sections)
            tensor = self.resized(tensor, part, replace(cut, sections=tuple(sections)), tuple(shape))
        return tensor

    def _refuse_ties_outwards(self, made: dict[str, Lazy]) -> None:
        """Every path of a tensor must have been cut, and in the same way, or a tie would break unseen."""
        for places in self._sites_of({id(self.tensor(path).parameter) for path in made}):
            inside = [place for place in places if place in made]
            if len({id(made[place]) for place in inside}) > 1 or len(inside) not in (0, len(places)):
                outside = next((place for place in places if place not in inside), places[-1])
                raise SurgeryError(
                    f"is tied to a place that would not be {self.done} with it",
                    path=sorted(inside)[0],
                    got=outside,
                    hint=f'`untie("{outside.rpartition(".")[0]}")` first, or both among the targets',
                )

    def _sites_of(self, wanted: set[int]) -> list[list[str]]:
        """All paths of each of these tensors, by their ids; parameters first, in the order of the tree."""
        found: dict[tuple[str, int], list[str]] = {}
        for kind in ("_parameters", "_buffers"):
            for around, module, _, _ in self.patient.places:
                tensors = getattr(module, kind)
                for name, tensor in tensors.items() if tensors else ():
                    if id(tensor) in wanted:
                        found.setdefault((kind, id(tensor)), []).append(join(around, name))
        return list(found.values())


def rated(value: float, count: int, left: int) -> float:
    """What a rate over `count` units is over those that are left."""
    return value * count / left


def _scaled_by(embedding: nn.Module, root: float) -> nn.Module:
    """The embedding with another number that it multiplies by."""
    made: Any = private_shell(embedding, parameter=lambda shared: shared)
    made.scalar_embed_scale = root
    made.embed_scale = torch.full_like(made.embed_scale, root)
    return made  # type: ignore[no-any-return]


def node_of(tensor: Lazy) -> int:
    """The identity of what a lazy tensor stands for: of a slot, that of its parameter."""
    return id(tensor.parameter) if isinstance(tensor, Held) else id(tensor)


def flat(sections: tuple[tuple[int, int], ...]) -> tuple[int, ...]:
    """Sections as recipes take them: start and size of each."""
    return tuple(number for pair in sections for number in pair)
