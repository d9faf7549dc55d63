"""What operations that merge this model with other checkpoints have in common."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

from surgery.checkpoint.parents import running_statistics, that_fit
from surgery.edits import Edit, SetBuffer, SetTensor
from surgery.errors import SurgeryError
from surgery.fields import Found, Parent, Schedule, Targets, option
from surgery.functions.task_vectors import wide
from surgery.lazy import Held, Lazy, recipe
from surgery.merging.depths import Depths, at
from surgery.merging.only import is_meant
from surgery.merging.vocabularies import Vocabularies, Vocabulary
from surgery.merging.with_parents import WithParents
from surgery.model import Patient
from surgery.widths.vocabulary import BUFFERS

Statistics = Literal["refuse", "keep", "average", "parents"]


class Put:
    """What a parent's tensors become before they are merged: themselves, unless a subclass says more."""

    def free(self, places: Sequence[str]) -> tuple[int, ...]:
        """The dimensions along which a parent's tensor at these paths may be wider or narrower."""
        return ()

    def __call__(self, places: Sequence[str], tensor: Lazy) -> Lazy:
        """What a parent's tensor at these paths becomes; it has the shape of this model's then."""
        return tensor


@dataclass(frozen=True)
class Here:
    """A tensor that is merged: `path` names it, `base` is this model's, `others` those of the parents."""

    path: str
    base: Held
    others: tuple[Lazy, ...]
    depth: float

    def value(self, schedule: Schedule) -> float:
        """What a schedule comes to here."""
        return at(schedule, self.depth)

    def values(self, schedules: Sequence[Schedule], count: int, default: float) -> tuple[float, ...]:
        """One value each: of as many schedules, of the only one for all, or the default."""
        if not schedules:
            return (default,) * count
        found = tuple(map(self.value, schedules))
        return found * count if len(found) == 1 else found

    def vectors(self) -> list[Lazy]:
        """The task vectors: what each of the others differs in from the base, in float32 or wider."""
        return [
            recipe("difference", other, self.base, dtype=wide(other.dtype, self.base.dtype))
            for other in self.others
        ]


@dataclass(frozen=True, kw_only=True)
class Merging(WithParents):
    """An operation that makes each tensor of the targets from this model's and those of other checkpoints.

    Parents' tensors are matched by the paths they would have in this model's memory, whatever their files
    call them, and may have another dtype; the result has this model's. A tied tensor is merged once, at all
    its paths. `only` names tensors by parts of their paths: each word must be in it, and none with `!`.
    Integers stay this model's.

    Rows of tokens, those of the input embedding and the head, are merged row by row if the `vocabulary` is
    the `same`: refused is another number of rows, and a tokenizer beside the parent that gives a token
    another id. If they are to be `matched`, a parent's rows are put in this model's order by the tokens'
    texts, special tokens without a match by their role; for tokens that the parent lacks, and rows that
    belong to none, it is as if it had this model's rows. Tokens that only a parent has are not taken.
    """

    group = "merge"
    least: ClassVar[int] = 1
    most: ClassVar[int | None] = None

    targets: Targets = option(help="the modules whose tensors are merged; empty for the whole model")
    parents: tuple[Parent, ...] = option(help="the other models: folders, or names that the script has")
    only: str = option("", help="only tensors whose path contains these words, and none with ! before it")
    statistics: Statistics = option(
        "refuse", help="running statistics: refuse, keep this model's, average all models', or the parents'"
    )
    vocabulary: Vocabulary = option(
        "same", help="rows of tokens: the same in all models, or matched by the tokens' texts"
    )
    tokens: Found | None = option(None, help="digests of the vocabularies that are matched")

    @abstractmethod
    def merged(self, here: Here) -> Lazy:
        """The tensor in this one's place; shape and dtype are those of `here.base`."""

    def put(self, patient: Patient) -> Put:
        """What the parents' tensors become before they are merged: themselves, unless overridden."""
        return Put()

    def keeps_structure(self) -> bool:
        return True

    def plan(self, patient: Patient) -> Iterator[Edit]:
        count = len(self.parents)
        if count < self.least or (self.most is not None and count > self.most):
            expected = "one parent" if self.least == 1 else f"{self.least} parents"
            more = "" if self.most == self.least else " or two" if self.most == 2 else " or more"
            raise SurgeryError(f"{self.name} merges with {expected}{more}", got=count)
        self._one_each(count)
        depths, put = Depths(patient), self.put(patient)
        for places, lazy, others in self.pairs(patient, put):
            put_there = tuple(put(places, other) for other in others)
            tensor = self.merged(Here(places[0], lazy, put_there, depths.of(places[0])))
            for place in places:
                yield SetTensor(place, tensor)
        yield from averaged(patient, self.targets, self.parents, self.statistics, self.vocabulary, put)

    def pairs(self, patient: Patient, put: Put | None = None) -> Iterator[Matched]:
        """What `matched` gives for the fields of this step."""
        return matched(patient, self.targets, self.parents, self.only, self.vocabulary, put or Put())

    def _one_each(self, count: int) -> None:
        """SurgeryError for a list of values that is neither one per parent nor one for all."""
        for spec in self.specs:
            given = getattr(self, spec.name)
            if spec.kind == "schedules" and len(given) not in (0, 1, self.shares(count)):
                raise SurgeryError(
                    f"{self.name}.{spec.name} needs one value each, or one for all",
                    got=f"{len(given)} values",
                    expected=self.shares(count),
                )

    def shares(self, count: int) -> int:
        """How many values a list of them has with this many parents: one each, this model not counted."""
        return count


_PUT = Put()
Matched = tuple[list[str], Held, tuple[Lazy, ...]]


def matched(
    patient: Patient,
    targets: Targets,
    parents: Sequence[Parent],
    only: str = "",
    vocabulary: Vocabulary = "same",
    put: Put = _PUT,
) -> Iterator[Matched]:
    """Each floating-point tensor of the targets once, with its paths and the parents' tensors.

    SurgeryError for a parent that lacks one of them or has more under the targets, and where shapes differ
    that may not by `put`. Rows of tokens are the same or matched: see `Merging`.
    """
    checkpoints, rows = that_fit(patient, parents, targets), Vocabularies(patient, vocabulary)
    sites, seen, found = patient.sites(), set[int](), False
    for path in targets.paths:
        for _, lazy in patient.tensors(path):
            key = id(lazy.parameter)
            if key in seen or not lazy.dtype.is_floating_point or not is_meant(sites[key], only):
                continue
            seen.add(key)
            found = True
            places, free = sites[key], put.free(sites[key])
            yield places, lazy, tuple(rows.tensor(item, places, lazy, free) for item in checkpoints)
    if not found:
        raise SurgeryError(
            "holds no tensor to merge", path=targets.select, got=f"only {only!r}" if only else None
        )


def merged_paths(patient: Patient, targets: Targets, only: str = "") -> set[str]:
    """All paths of the tensors that `matched` gives."""
    sites = patient.sites()
    return {
        place
        for path in targets.paths
        for _, lazy in patient.tensors(path)
        if lazy.dtype.is_floating_point and is_meant(sites[id(lazy.parameter)], only)
        for place in sites[id(lazy.parameter)]
    }


def averaged(
    patient: Patient,
    targets: Targets,
    parents: Sequence[Parent],
    statistics: Statistics,
    vocabulary: Vocabulary = "same",
    put: Put = _PUT,
) -> Iterator[Edit]:
    """Running statistics under the targets: the mean over all models, or none, as it was said.

    Those of parents are `put` first.
    """
    held = running_statistics(patient, targets.paths)
    if not held or statistics == "keep":
        return
    if statistics == "refuse":
        raise SurgeryError(
            "holds running statistics, which belong to the weights they were taken with",
            path=held[0],
            hint='`statistics="average"` and `recalibrate` then, or targets that leave such modules out',
        )
    checkpoints, rows = that_fit(patient, parents, targets), Vocabularies(patient, vocabulary)
    sites, done = patient.buffer_sites(), set[int]()
    for path in held:
        own = patient.buffer(path)
        assert own is not None
        key = id(own.parameter)
        if key not in done:
            done.add(key)
            if path.rpartition(".")[2] in BUFFERS:
                for item in checkpoints:
                    rows.refuse_buffer(item, path)
            places = sites[key]
            others = (item.tensor(places, own, free=put.free(places)) for item in checkpoints)
            tensors = (own, *(put(places, other) for other in others))
            first = int(statistics == "parents")  # from there on they count
            weights = (0.0,) * first + (1 / (len(tensors) - first),) * (len(tensors) - first)
            mean = recipe("weighted_sum", *tensors, weights=weights)
            for place in sites[key]:
                yield SetBuffer(place, mean)
