"""Weights that modules share over depth, and the transformation by which each has its own of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import torch

from graph.tree import join
from surgery.adapters.lora import is_linear, is_transposed
from surgery.errors import SurgeryError
from surgery.lazy import Held, Lazy, Recipe, Reduction, recipe, recipe_like
from surgery.model import Patient, refuse_reused
from surgery.modules.made import MadeLinear
from surgery.modules.multiplexed import Transformation
from surgery.norms import in_norm
from surgery.tying.loops import average, is_the_same
from surgery.tying.members import refuse_unlike
from surgery.unseen import refuse_unseen
from surgery.widths.heads import heads

Start = Literal["first", "average", "nearest"]


@dataclass(frozen=True)
class Kinds:
    """Which transformation a linear module has: where its outputs or inputs are heads, and elsewhere."""

    heads: Literal["mixed", "gains", "tied"]
    others: Literal["outputs", "inputs", "tied"]


@dataclass(frozen=True)
class Weight:
    """A weight called `name` in each of the modules `paths`: their own ones, and the one that all share.

    `transformation` is None for what is shared as it is; `dim` is the dimension along which it goes.
    """

    name: str
    paths: tuple[str, ...]
    own: tuple[Held, ...]
    shared: Lazy
    transformation: Transformation | None
    dim: int

    @property
    def owners(self) -> list[str]:
        """The modules that hold it."""
        return [join(path, self.name).rpartition(".")[0] for path in self.paths]

    def transforming(self, place: int, fit: bool) -> dict[str, Recipe]:
        """The parameters of the transformation of one of the modules: fitted, or the identity."""
        assert self.transformation is not None
        own, found, start = self.own[place], {}, 0
        neutral = not fit or is_the_same(own, self.shared)
        kind = self.transformation
        if not kind.heads:
            width = (own.shape[self.dim],)
            if neutral:
                return {"gain": recipe("ones", shape=width, dtype=own.dtype)}
            return {"gain": recipe("fitted_gain", own, self.shared, shape=width, dim=self.dim)}
        for name, count, size in zip(kind.names, kind.heads, kind.sizes, strict=True):
            shape = (count, count)
            found[name] = (
                recipe("eye", shape=shape, dtype=own.dtype)
                if neutral
                else recipe(
                    "fitted_mix",
                    own,
                    self.shared,
                    shape=shape,
                    dim=self.dim,
                    start=start,
                    heads=count,
                    size=size,
                )
            )
            start += count * size
        return found

    def transformed(self, place: int, fit: bool) -> Lazy:
        """The weight that one of the modules computes with."""
        own = list(self.transforming(place, fit).values()) if self.transformation is not None else []
        if self.transformation is None:
            return self.shared
        heads, sizes = self.transformation.heads, self.transformation.sizes
        if not heads:
            return recipe_like(self.shared, "multiplied_units", self.shared, *own, dim=self.dim)
        return recipe_like(
            self.shared, "multiplied_heads", self.shared, *own, dim=self.dim, heads=heads, sizes=sizes
        )


def weights(
    patient: Patient, paths: Sequence[str], span: int, start: Start, kinds: Kinds, fit: bool
) -> Iterator[Weight]:
    """What each `span` modules in a row share; one that is left over at the end shares nothing.

    Tensors of one dimension and norms are each module's own. Refused where the modules do not fit.
    """
    sections = _heads_by_weight(patient)
    for begin in range(0, len(paths) - 1, span):
        group = tuple(paths[begin : begin + span])
        members = [dict(patient.own_tensors(path)) for path in group]
        for path, own in zip(group, members, strict=True):
            _refuse_made(patient, path)
            hint = "modules of one kind, or a smaller `span`"
            refuse_unlike(path, own, group[0], members[0], hint)
        for name in members[0]:
            same = tuple(member[name] for member in members)
            at = join(group[0], name)
            if len(same[0].shape) < 2 or in_norm(patient, at):
                continue
            _refuse_tied(patient, group, name, same)
            kind = _transformation(patient, group, name, sections, kinds)
            dim = _dim(patient, at, kind)
            yield Weight(name, group, same, _shared(same, kind, dim, start, fit), kind, dim)


def _transformation(
    patient: Patient,
    group: Sequence[str],
    name: str,
    sections: Mapping[str, Transformation],
    kinds: Kinds,
) -> Transformation | None:
    """That of a linear module's weight, after it was seen to fit; None for what has none."""
    slots = [join(path, name) for path in group]
    owners = [slot.rpartition(".")[0] for slot in slots]
    classes = [type(patient.module(owner)) for owner in owners]
    if name.rpartition(".")[2] != "weight" or not is_linear(patient.module(owners[0])):
        return None
    for owner, cls in zip(owners, classes, strict=True):
        if cls is not classes[0]:
            raise SurgeryError(
                "is of another class than the module that it would share with",
                path=owner,
                got=cls.__name__,
                expected=f"{classes[0].__name__} as {owners[0]}",
            )
        if not owner:
            raise SurgeryError("is no linear module in a place of its own", path="(root)", got=cls.__name__)
        refuse_reused(patient, owner)
    gains = None if kinds.others == "tied" else Transformation(kinds.others == "inputs")
    known = sections.get(slots[0])
    if known is None or kinds.heads == "mixed":
        mixed = known is not None and known.heads and all(sections.get(slot) == known for slot in slots)
        kind = known if mixed else gains
    else:
        kind = Transformation(kinds.others == "inputs") if kinds.heads == "gains" else None
    for owner in owners if kind is not None else ():
        refuse_unseen(patient, owner, "multiplex")
    return kind


def _dim(patient: Patient, at: str, kind: Transformation | None) -> int:
    if kind is None:
        return 0
    return int(kind.at_inputs is not is_transposed(patient.module(at.rpartition(".")[0])))


def _shared(same: tuple[Held, ...], kind: Transformation | None, dim: int, start: Start, fit: bool) -> Lazy:
    """The tensor that all have; that to which all are nearest without a transformation is the average."""
    if start == "first" or all(lazy.parameter is same[0].parameter for lazy in same):
        return same[0]
    if start == "average" or kind is None or not fit:
        return average(same)
    first = same[0]
    if not kind.heads:
        rows, width = first.shape
        products: Lazy = Reduction(
            function="unit_products",
            inputs=same,
            shape=(len(same), len(same), first.shape[dim]),
            dtype=torch.float64,
            arguments={"rows": rows, "width": width, "dim": dim},
        )
        return recipe_like(first, "shared_of_units", products, *same, dim=dim)
    grams, begin = [], 0
    for count, size in zip(kind.heads, kind.sizes, strict=True):
        parts = [_slice(lazy, dim, begin + head * size, size) for lazy in same for head in range(count)]
        shape = (len(parts), len(parts))
        grams.append(Reduction(function="gram", inputs=tuple(parts), shape=shape, dtype=torch.float64))
        begin += count * size
    return recipe_like(first, "shared_of_heads", *grams, *same, dim=dim, heads=kind.heads, sizes=kind.sizes)


def _slice(weight: Held, dim: int, start: int, size: int) -> Recipe:
    rows, width = weight.shape
    sides = (size, width) if dim == 0 else (rows, size)
    offset = start * width if dim == 0 else start
    return recipe("viewed", weight, shape=sides, sides=sides, strides=(width, 1), offset=offset)


def _heads_by_weight(patient: Patient) -> dict[str, Transformation]:
    """Where the outputs or the inputs of linear modules are heads, by the path of the weight.

    Where they are in part, such as beside keys that all heads share, there are no heads to mix.
    """
    found = {}
    for part in heads(patient):
        cuts = [cut for cut in part.cuts if cut.path.endswith(".weight")]
        smallest = min((size for cut in cuts for _, size in cut.sections), default=0)
        for cut in cuts:
            counts, sizes, reached = [], [], 0
            for start, size in cut.sections:
                finer = part.per_unit if size == part.per_unit * smallest else 1  # heads of one group
                counts.append(part.count * finer)
                sizes.append(size // finer)
                reached = reached + part.count * size if start == reached else -1
            module = patient.module(cut.path.rpartition(".")[0])
            at_inputs = (cut.dim == 0) == is_transposed(module)
            whole = reached == patient.tensor(cut.path).shape[cut.dim] and min(counts) > 1
            found[cut.path] = Transformation(at_inputs, *((tuple(counts), tuple(sizes)) if whole else ()))
    return found


def _refuse_made(patient: Patient, path: str) -> None:
    for name, module in patient.module(path).named_modules():
        if isinstance(module, MadeLinear):
            raise SurgeryError(
                "its weight is made of others already",
                path=join(path, name).rstrip("."),
                got=type(module).__name__,
                hint=f'`multiply_out("{path}")` first',
            )


def _refuse_tied(patient: Patient, group: Sequence[str], name: str, same: Sequence[Held]) -> None:
    """SurgeryError where a weight is also anywhere but in this place of these modules."""
    slots = [join(path, name) for path in group]
    sites = patient.sites()
    for slot, lazy in zip(slots, same, strict=True):
        behind = [place for place in sites[id(lazy.parameter)] if place not in slots]
        if behind or patient.config_ties(slot):
            raise SurgeryError(
                "is tied to a place that would be left behind" if behind else "is tied by the model's config",
                path=slot,
                got=behind[0] if behind else None,
                hint=f'`untie("{slot.rpartition(".")[0]}")` first',
            )
