"""Take out the blocks that a model can best do without."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from math import ceil, floor, isfinite
from typing import Any, Literal

import torch

from graph.nodes import ModuleGraph
from surgery.calibration.batches import Shown, shown
from surgery.calibration.telling import told
from surgery.charts import Bars, Chart
from surgery.depth import by_list, without
from surgery.edits import Edit
from surgery.errors import SurgeryError
from surgery.fields import Targets, option
from surgery.measures import Measured
from surgery.model import Patient
from surgery.operation import Operation, operation
from surgery.shortening import Freed, Removals, Turns, cheapest, share_parameters, turned

Criterion = Literal["influence", "angle", "loss", "greedy", "distortion"]
GLANCE = 4
"""Examples of a chart."""
UNITS: dict[Criterion, str] = {
    "influence": "1 − cos(x, f(x))",
    "angle": "angle / π",
    "loss": "nats per token without it",
    "greedy": "the step at which it goes",
    "distortion": "of the outputs' energy",
}


@operation(
    title="Shorten",
    group="prune",
    source="Men et al. 2024 (ShortGPT), arXiv:2403.03853; Gromov et al. 2024, arXiv:2403.17887; "
    "Song et al. 2024 (SLEB), arXiv:2402.09025; Zhang et al. 2024 (LAPTOP-Diff), arXiv:2404.11098",
)
class Shorten(Operation):
    """The blocks that the model can best do without are gone; those behind move up, cache and config follow.

    Fields: `targets`: the blocks among which to choose; `count`: how many go; or `size` in (0, 1): the part
    of the targets' parameters that goes, at the least; what blocks share goes with the last of them, and is
    counted by `greedy` alone. `by`: `influence`: those that turn the states least,
    1 − E cos(x, f(x)) over tokens; `angle`: the run of `count` neighbours over which the state at the last
    token turns least; `loss`: those whose removal alone leaves the least next-token loss; `greedy`: block by
    block, each time the one whose removal leaves the least loss now; `distortion`: those for which the sum of
    E‖f − f′‖² / E‖f‖² of their removals alone is least, a 0-1 knapsack where blocks are unlike. Where no text
    is predicted `greedy` goes by the distortion. It runs at most `samples` examples of the session's `data`,
    batches in an order drawn with `seed`. `measured` holds the places of the blocks that go among the
    targets, so no replay needs the data. Refused: what `remove` refuses, a count or size of all targets,
    `loss` without text, `angle` with a size or with targets that are no neighbours. `influence` and `angle`
    take one pass, `loss` and `distortion` one per target, `greedy` about `count` times as many.
    """

    one_of = ("count", "size")

    targets: Targets = option(help="the blocks among which to choose")
    count: int | None = option(None, help="how many go", minimum=1)
    size: float | None = option(
        None, help="part of their parameters that goes, at the least", minimum=0.001, maximum=0.999
    )
    by: Criterion = option("influence", help="what says which the model can best do without")
    samples: int = option(16, help="examples to run at most: windows of text, images", minimum=1)
    seed: int = option(0, help="which batches come first", minimum=0)
    measured: Measured | None = option(None, help="the places of those that go, once they were measured")

    def measure(self, patient: Patient, data: Sequence[Any]) -> dict[str, torch.Tensor]:
        self._refuse_unclear(patient)
        batches = shown(data, self.samples, self.seed, self.name)
        gone = self._chosen(patient, self._scores(patient, batches), batches)
        return {"gone": torch.tensor(sorted(gone), dtype=torch.int64)}

    def bounds(self, before: ModuleGraph | None) -> frozenset[str] | None:
        """Before it is measured the lightest blocks are gone: more than that will be, of unlike ones."""
        if not self.awaits_measure:
            return None
        paths = self.targets.paths
        alike = before is not None and len({before[path].structure for path in paths if path in before}) == 1
        if before is None or not alike or share_parameters(before, paths) or self.size is not None:
            return frozenset(("parameters",))
        return None

    def plan(self, patient: Patient) -> Iterator[Edit]:
        self._refuse_unclear(patient)
        if self.measured is None:
            freed = Freed.of(patient, self.targets.paths)
            if self.count is not None:
                gone = freed.lightest(self.count)
            else:
                sizes = freed.alone
                gone = list(cheapest([float(size) for size in sizes], sizes, self._least(freed)) or ())
        else:
            gone = self.measured.lazy("gone").tensor.tolist()
            if not gone or gone[-1] >= len(self.targets.paths):
                raise SurgeryError(
                    "was measured on other blocks than these",
                    path=self.targets.select,
                    got=f"{len(self.targets.paths)} blocks",
                    hint="the model the script was made on, or making the step anew",
                )
        paths = [self.targets.paths[place] for place in gone]
        yield from without(patient, by_list(patient, paths, self.name), self.name)

    def chart(self, patient: Patient, data: Sequence[Any]) -> Chart | None:
        """What the criterion says of each block on a few examples; those that would go are marked."""
        self._refuse_unclear(patient)
        batches = shown(data, min(self.samples, GLANCE), self.seed, self.name)
        scores = self._scores(patient, batches)
        gone = self._chosen(patient, scores, batches)
        if self.by == "greedy":
            order = {place: float(turn) for turn, place in enumerate(gone, 1)}
            scores = [order.get(place, 0.0) for place in range(len(self.targets.paths))]
        known = [place for place, score in enumerate(scores) if isfinite(score)]
        return Bars(
            title=f"What each block counts for, on {sum(batch.examples for batch in batches)} examples",
            labels=tuple(self.targets.paths[place].rpartition(".")[2] for place in known),
            values=tuple(scores[place] for place in known),
            unit=UNITS[self.by],
            marked=tuple(known.index(place) for place in sorted(gone) if place in known),
        )

    # Measuring ------------------------------------------------------------------------------------

    def _scores(self, patient: Patient, batches: Sequence[Shown]) -> list[float]:
        """A number per target, of what is cheapest to take out the least; of `greedy` none yet."""
        paths = self.targets.paths
        if self.by in ("influence", "angle"):
            found = turned(patient, paths, batches, self.name)
            return list(found.influence) if self.by == "influence" else self._angles(patient, found)
        if self.by == "greedy":
            return []
        removals, heard = Removals(patient, paths, batches, self.name), told()
        if self.by == "loss" and not removals.predicts_text:
            raise SurgeryError(
                "this model predicts no text on these data, so there is no loss",
                path=f"{self.name}.by",
                hint='`by="distortion"`',
            )
        scores = []
        for place in range(len(paths)):
            of = removals.loss if self.by == "loss" else removals.distortion
            scores.append(of([place]))
            heard.progress((place + 1) / len(paths), f"{place + 1} of {len(paths)} blocks")
        return scores

    def _angles(self, patient: Patient, found: Turns) -> list[float]:
        """Of each run of `count` neighbours, at its first block; no number where it would go beyond."""
        assert self.count is not None
        ends = len(self.targets.paths) - self.count
        return [
            found.angle(place, self.count) if place <= ends else float("nan")
            for place in range(len(self.targets.paths))
        ]

    def _chosen(self, patient: Patient, scores: Sequence[float], batches: Sequence[Shown]) -> list[int]:
        """The places that go; of `greedy` in the order they go."""
        if self.by == "greedy":
            return self._greedy(Removals(patient, self.targets.paths, batches, self.name), patient)
        known = [place for place, score in enumerate(scores) if isfinite(score)]
        if self.by == "angle":
            assert self.count is not None
            first = min(known, key=lambda place: scores[place], default=None)
            if first is None:
                raise self._unscored()
            return list(range(first, first + self.count))
        if self.count is not None:
            if len(known) < self.count:
                raise self._unscored()
            return sorted(known, key=lambda place: scores[place])[: self.count]
        freed = Freed.of(patient, self.targets.paths)
        sizes = freed.alone
        costs, weights = [scores[place] for place in known], [sizes[place] for place in known]
        found = cheapest(costs, weights, self._least(freed))
        if found is None or len(found) == len(sizes):
            raise self._unscored()
        return [known[place] for place in found]

    def _greedy(self, removals: Removals, patient: Patient) -> list[int]:
        freed, heard, gone = Freed.of(patient, self.targets.paths), told(), list[int]()
        worse = removals.loss if removals.predicts_text else removals.distortion
        last = freed.survivors(self._least(freed))
        while not self._enough(gone, freed):
            left = [place for place in range(freed.blocks) if place not in gone]
            stays = [place for place in last if place in left]  # one of them is to be left in the end
            may = [place for place in left if stays != [place]]
            gone.append(min(may, key=lambda place: worse([*gone, place])))
            label = f"{len(gone)} blocks chosen"
            heard.progress(min(1.0, len(gone) / (self.count or freed.blocks - 1)), label)
        return gone

    def _enough(self, gone: Sequence[int], freed: Freed) -> bool:
        if self.count is not None:
            return len(gone) == self.count
        return freed.by(gone) >= self._least(freed)

    # What there is --------------------------------------------------------------------------------

    def _least(self, freed: Freed) -> int:
        return ceil(Fraction(repr(self.size or 0.0)) * freed.whole)

    def _unscored(self) -> SurgeryError:
        return SurgeryError(
            f"too few of the blocks can be scored by {self.by}",
            path=self.targets.select,
            hint='`by="distortion"`, or other targets',
        )

    def _refuse_unclear(self, patient: Patient) -> None:
        """SurgeryError for fields that do not go together; what `remove` refuses is refused too."""
        if (self.count is None) == (self.size is None):
            raise SurgeryError("shorten needs one of count and size", hint="`count=2`")
        paths = self.targets.paths
        lists = by_list(patient, paths, self.name)
        if self.count is not None and self.count >= len(paths):
            raise SurgeryError(
                "would leave none of the targets",
                path=self.targets.select,
                got=f"count {self.count}",
                expected=f"at most {len(paths) - 1}",
            )
        if self.size is not None:
            self._refuse_unmet(Freed.of(patient, paths))
        if self.by != "angle":
            return
        if self.count is None:
            raise SurgeryError(
                "the angle is one of a run of so many blocks", path=f"{self.name}.size", hint="`count=2`"
            )
        places = next(iter(lists.values()))
        if len(lists) > 1 or places != list(range(places[0], places[0] + len(places))):
            raise SurgeryError(
                "the angle is one of neighbours, and these targets are not all",
                path=self.targets.select,
                hint="blocks of one list without a gap",
            )

    def _refuse_unmet(self, freed: Freed) -> None:
        """SurgeryError for a size of which too little goes, even if one block alone is left."""
        together = self.by == "greedy"  # the others count what goes with each by itself
        sizes = freed.alone
        most = freed.most if together else sum(sizes) - min(sizes)
        if most >= self._least(freed):
            return
        shared = freed.whole > sum(sizes)
        raise SurgeryError(
            "the blocks share parameters, so less goes with them"
            if shared
            else "so much would leave none of the targets",
            path=self.targets.select,
            got=f"size {self.size:g}",
            expected=f"at most {floor(1000 * most / freed.whole) / 1000:g}",
            hint="`count=1`" + (', or `by="greedy"`' if freed.most >= self._least(freed) else ""),
        )
