"""How alike other checkpoints are to this model and to one another: what to know before a merge."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch

from graph.paths import is_below
from surgery.fields import Parent, Targets
from surgery.functions.task_vectors import wide
from surgery.lazy import Lazy, Reduction, recipe
from surgery.merging.merging import matched
from surgery.merging.vocabularies import Vocabulary
from surgery.model import Patient
from surgery.recipes import one_thread
from surgery.selecting import resolved
from surgery.stream.drawn import drawn
from surgery.stream.lineage import Lineage, checkpoint_of, stored_weights
from surgery.stream.reading import Reader
from surgery.stream.tiles import Maker

if TYPE_CHECKING:
    from surgery.session import Session


@dataclass(frozen=True)
class Kin:
    """One tensor, or all of them together, in this model (θ₀) and n parents, τᵢ = θᵢ − θ₀.

    `moved`: |τᵢ| / |θ₀| for each. `cosines`: of each pair τᵢ, τⱼ, in the order (1, 2), (1, 3), …; NaN where
    one is zero. `conflicts`: the part of the elements that two parents or more changed whose signs differ.
    """

    path: str
    count: int
    moved: tuple[float, ...]
    cosines: tuple[float, ...]
    conflicts: float

    @property
    def cosine(self) -> float:
        """The mean over the pairs; NaN where there is none."""
        known = [value for value in self.cosines if not math.isnan(value)]
        return sum(known) / len(known) if known else math.nan


@dataclass(frozen=True)
class Kinship:
    """What a comparison found: `parents` by name, one `Kin` per tensor in the order of the tree, and of
    all.
    """

    parents: tuple[str, ...]
    tensors: tuple[Kin, ...]
    all: Kin
    sums: tuple[torch.Tensor, ...] = field(default=(), repr=False, compare=False)
    """What each tensor's figures were made from; those of several tensors add up."""

    def under(self, path: str) -> Kin | None:
        """All tensors at or under a path together; None where there is none."""
        inside = [place for place, kin in enumerate(self.tensors) if is_below(kin.path, path)]
        if not inside:
            return None
        count = sum(self.tensors[place].count for place in inside)
        return _kin(path, count, torch.stack([self.sums[place] for place in inside]).sum(0))

    def to_dict(self) -> dict[str, Any]:
        """As plain data of JSON; NaN is None."""
        return {"parents": list(self.parents), "all": _data(self.all), "tensors": [*map(_data, self.tensors)]}

    def __str__(self) -> str:
        from surgery.show.kinship import table

        return table(self)

    def _repr_html_(self) -> str:
        from surgery.show.kinship import heat_map

        return heat_map(self)


def kinship(
    session: Session,
    parents: Sequence[Parent],
    targets: str = "",
    only: str = "",
    progress: Callable[[float, str], None] | None = None,
    vocabulary: Vocabulary = "same",
) -> Kinship:
    """Compares each floating-point tensor of the targets with those of the parents.

    Tensors are read piece by piece; of a skeleton, its own too. `progress(fraction, label)` is told of every
    tensor, and what it raises ends the comparison. Rows of tokens are the same or matched as in a merge.
    SurgeryError as in a merge: for a parent that lacks a tensor, has one more, or another shape.
    """
    with session.lock:  # only as long as the model is looked at: what is read is what it held then
        found = _matched(session, parents, targets, only, vocabulary)
    names = tuple(parent.alias or os.path.basename(parent.source.rstrip("/")) for parent in parents)
    sums: list[torch.Tensor] = []
    with Reader() as reader, one_thread(), ThreadPoolExecutor(os.cpu_count()) as pool:
        maker = Maker(reader)
        work = [pool.submit(maker.reduced, _compared(base, others)) for _, base, others in found]
        try:
            for number, (item, made_of) in enumerate(zip(found, work, strict=True), 1):
                sums.append(made_of.result())
                if progress is not None:
                    progress(number / len(found), item[0])
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)  # else all would be read before it ends
            raise
        reader.refuse_changed()
    kin = [_kin(path, base.count, made_of) for (path, base, _), made_of in zip(found, sums, strict=True)]
    total = _kin("", sum(base.count for _, base, _ in found), torch.stack(sums).sum(0))
    return Kinship(names, tuple(kin), total, tuple(sums))


def _matched(
    session: Session, parents: Sequence[Parent], targets: str, only: str, vocabulary: Vocabulary
) -> list[tuple[str, Lazy, tuple[Lazy, ...]]]:
    """Path, tensor and the parents' tensors of all that is compared."""
    lineage, patient = Lineage(), session.patient
    if session.is_skeleton:
        opened = session.opened
        made = drawn(opened.model, session.steps, opened.inputs, opened.tokenizer)
        lineage.add(stored_weights(opened.model, checkpoint_of(opened)))
        lineage.add(made.tensors)
        patient = Patient(made.model, opened.inputs, opened.tokenizer)
    chosen = resolved(Targets(targets), patient.root)
    return [
        (places[0], lineage.resolved(base), tuple(map(lineage.resolved, others)))
        for places, base, others in matched(patient, chosen, parents, only, vocabulary)
    ]


def _compared(base: Lazy, others: Sequence[Lazy]) -> Reduction:
    vectors = [recipe("difference", item, base, dtype=wide(item.dtype, base.dtype)) for item in others]
    length = (1 + len(vectors)) ** 2 + 2
    return Reduction(function="agreement", inputs=(base, *vectors), shape=(length,), dtype=torch.float64)


def _kin(path: str, count: int, found: torch.Tensor) -> Kin:
    size = math.isqrt(len(found) - 2)
    products, (shared, conflicts) = found[:-2].view(size, size), found[-2:].tolist()
    lengths = products.diagonal().clamp(min=0).sqrt().tolist()
    moved = tuple(length / lengths[0] if lengths[0] else math.nan for length in lengths[1:])
    cosines = tuple(
        float(products[i, j]) / (lengths[i] * lengths[j]) if lengths[i] * lengths[j] else math.nan
        for i in range(1, size)
        for j in range(i + 1, size)
    )
    return Kin(path, count, moved, cosines, conflicts / shared if shared else 0.0)


def _data(kin: Kin) -> dict[str, Any]:
    def known(value: float) -> float | None:
        return None if math.isnan(value) else value

    return {
        "path": kin.path,
        "elements": kin.count,
        "moved": [*map(known, kin.moved)],
        "cosines": [*map(known, kin.cosines)],
        "conflicts": kin.conflicts,
    }
