"""Prune: the least important neurons, heads, channels, experts or width goes, until a target is met."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, Literal

from torch import Tensor

from graph.nodes import ModuleGraph
from surgery.charts import Bars, Chart, Curves
from surgery.edits import Edit
from surgery.errors import SurgeryError
from surgery.fields import Found, Targets, option
from surgery.measures import Measured
from surgery.model import Patient
from surgery.operation import Operation, operation
from surgery.widths.config import config_edits
from surgery.widths.cutting import Cutting
from surgery.widths.hanging import parts_of_step, with_found
from surgery.widths.importance import By, Shown, importance
from surgery.widths.part import Part
from surgery.widths.ranking import Ranking, alike, comparable, over_mean, those_together
from surgery.widths.refusals import refuse_unlike
from surgery.widths.target import NOUNS, Figure, Of, aim, rungs_until

LINES, BARS, GLANCE = 4, 16, 32
"""Of a chart: layers that have a line, layers that have a bar, examples that are run."""
SHARES = 64
"""Steps in which a preview looks for what all layers could lose alike."""

_ON_DATA = {"by": ("taylor", "fisher", "activation")}


@operation(
    title="Prune",
    group="prune",
    source="Taylor: Molchanov et al. 2019, arXiv:1906.10771; Fisher: Liu et al. 2021, arXiv:2108.00708",
)
class Prune(Operation):
    """The units that matter least over all targets are gone, until the model is as small as asked.

    Fields: `targets`: modules with such units or what contains them; `units`: their kind, as `narrow` has
    them. One of `to`: what is left of a `figure`, `"-30 %"`, `"1.2 M"`, of a latency `"5 ms"`: units go from
    where they matter least, so layers come out unevenly wide; and `ratio` in (0, 1): ⌊ratio · n⌋ of the units
    of each layer go. `by` says what a unit matters, on at most `samples` examples of the session's `data`,
    batches in an order drawn with `seed`. `taylor`: E |g|, `fisher`: E g², where g = Σ w · ∂L/∂w over the
    weights that read the unit and L is the loss of an example, of its `labels` if the batch has them, else of
    the next token. `activation`: the root of the mean square of what is read of it. `magnitude`: Σ w² over
    its weights, without data. For `to` units of all layers are in one order, `activation` and `magnitude`
    over their layer's mean, the others as they are, since they are of one loss. `floor`: the part of each
    layer's units that stays at the least. `multiple`: what stays of a layer that loses any is a multiple of
    this. `measured` holds the places that stay, (left,) int64 by path, `found` the channels or the width that
    hang together.

    Refused: what `narrow` refuses; batches without labels of a model that predicts no next token; experts by
    anything but magnitude, since no layer reads them; a target that cannot be met, with the nearest.
    """

    one_of = ("to", "ratio")

    targets: Targets = option(help="modules with such units, or what contains them")
    units: Literal["neurons", "heads", "channels", "experts", "width"] = option("neurons", help="what goes")
    to: str = option(
        "", help='what is to be left of the figure: "-30 %", "1.2 M", "5 ms"; instead of a ratio'
    )
    figure: Of = option("parameters", help="the figure that `to` is of; latency is timed here and now")
    ratio: float | None = option(
        None, help="part of each layer's units that goes", minimum=0.01, maximum=0.99
    )
    by: By = option("taylor", help="what a unit matters")
    floor: float = option(
        0.1, help="part of each layer's units that stays at the least", minimum=0.0, maximum=1.0
    )
    multiple: int = option(1, help="what stays of a layer is a multiple of this", minimum=1)
    samples: int = option(
        128, help="examples to run at most: windows of text, images", minimum=1, beside=_ON_DATA
    )
    seed: int = option(0, help="which batches come first", minimum=0, beside=_ON_DATA)
    found: Found | None = option(None, help="channels or width that hang together, as the first run showed")
    measured: Measured | None = option(None, help="the units that stay, once they were measured")

    def resolved(self, patient: Patient) -> Prune:
        """Of channels and width also what hangs together: found with example inputs, else kept."""
        return with_found(super().resolved(patient), patient, lambda step: step._halved)

    def bounds(self, before: ModuleGraph | None) -> frozenset[str] | None:
        """Before it is measured a `to` is known to be met: in its own figure alone."""
        if self.measured is not None or not self.to:
            return None
        figure = {"parameters": "parameters", "bytes": "size_bytes", "macs": "macs"}.get(self.figure)
        return frozenset((figure,) if figure else ("parameters", "size_bytes", "macs"))

    def measure(self, patient: Patient, data: Sequence[Any]) -> dict[str, Tensor]:
        self._refuse_unclear()
        parts, mine = parts_of_step(self, patient)
        ranking = self._ranking(patient, mine, data, self.samples)
        kept = ranking.kept(self._left(patient, parts, mine, ranking))
        return {part.path: places for part, places in kept.items()}

    def plan(self, patient: Patient) -> Iterator[Edit]:
        self._refuse_unclear()
        parts, mine = parts_of_step(self, patient)
        if self.measured is not None:
            kept = self._kept(mine)
            left = {part: len(places) for part, places in kept.items()}
        else:
            kept, left = {}, self._at_most(patient, parts, mine)
        if left:
            yield from _edits(parts, left, kept, patient)

    def chart(self, patient: Patient, data: Sequence[Any]) -> Chart | None:
        """With `to` what stays of each layer; with `ratio` what its units matter, the least first.

        On a few examples; of some layers, evenly spread.
        """
        self._refuse_unclear()
        parts, mine = parts_of_step(self, patient)
        ranking = self._ranking(patient, mine, data, min(self.samples, GLANCE))
        if self.to:
            left = self._left(patient, parts, mine, ranking)
            shown = mine[:: -(-len(mine) // BARS)]
            target = f"{NOUNS[self.figure]} {self.to.strip()}"
            return Bars(
                title=f"{self.units.capitalize()} that stay, {target}, by {self.by}",
                labels=tuple(part.path for part in shown),
                values=tuple(100 * left.get(part, part.count) / part.count for part in shown),
                unit="%",
            )
        together = list(zip(ranking.together, ranking.orders, ranking.scores, strict=True))
        lines = {}
        for those, order, scores in together[:: -(-len(together) // LINES)]:
            last = max(1, len(order) - 1)
            values = over_mean(scores)[order].tolist()
            lines[those[0].path] = tuple((place / last, value) for place, value in enumerate(values))
        return Curves(
            title=f"What {self.units} matter, by {self.by}",
            lines=lines,
            x="part of the units of a layer, the least important first",
            y="importance over its mean",
            mark=self.ratio,
        )

    def _refuse_unclear(self) -> None:
        given = bool(self.to.strip()) + (self.ratio is not None)
        if given != 1:
            raise SurgeryError(
                "prune needs one of to and ratio", got="both" if given else "neither", hint='`to="-30 %"`'
            )

    def _ranking(self, patient: Patient, mine: list[Part], data: Sequence[Any], samples: int) -> Ranking:
        together = those_together(patient, mine)
        on = Shown(data, samples, self.seed, self.name)
        scores = importance(patient, together, self.by, on)
        return Ranking.of(together, [comparable(item, self.by) for item in scores], self.floor, self.multiple)

    def _left(
        self, patient: Patient, parts: list[Part], mine: list[Part], ranking: Ranking
    ) -> dict[Part, int]:
        """How many units stay in each part that loses any."""
        if self.ratio is not None:
            return self._of_ratio(mine, self.ratio)

        def fewer(gone: int) -> Callable[[Patient], list[Edit]]:
            return partial(_edits, parts, ranking.left(gone), {})

        figure, most = Figure(patient, self.figure), len(ranking.rungs)
        limit = aim(figure, fewer(most), self.to, self.targets.select)
        return ranking.left(rungs_until(figure, fewer, most, limit))

    def _of_ratio(self, mine: list[Part], ratio: float) -> dict[Part, int]:
        left = alike(mine, ratio, self.floor, self.multiple)
        if not left:
            most = max(mine, key=lambda part: part.count)
            raise SurgeryError(
                "no unit would go",
                path=self.targets.select,
                got=f"ratio {ratio:g}",
                expected=f"{self.multiple / most.count:.2g} or more, since {most.path} has {most.count}",
            )
        return left

    def _at_most(self, patient: Patient, parts: list[Part], mine: list[Part]) -> dict[Part, int]:
        """What stays before it is measured: of a ratio so many; of a `to` no less of its figure than then.

        That is what all layers lose alike, as much as leaves the figure at the target or above.
        """
        if self.ratio is not None:
            return self._of_ratio(mine, self.ratio)
        if self.figure == "latency":
            return {}
        figure = Figure(patient, self.figure)
        smallest = alike(mine, 1.0, self.floor, self.multiple)
        limit = aim(figure, partial(_edits, parts, smallest, {}), self.to, self.targets.select)
        low, high = 0, SHARES
        while high - low > 1:
            middle = (low + high) // 2
            left = alike(mine, middle / SHARES, self.floor, self.multiple)
            low, high = (middle, high) if figure(partial(_edits, parts, left, {})) >= limit else (low, middle)
        return alike(mine, low / SHARES, self.floor, self.multiple) if low else {}

    def _kept(self, mine: list[Part]) -> dict[Part, tuple[int, ...]]:
        """The places that were measured, by part."""
        assert self.measured is not None
        tensors = self.measured.tensors or {}
        known = {part.path: part for part in mine}
        if not tensors or tensors.keys() - known.keys():
            raise SurgeryError(
                "the units were measured on another model",
                path=next(iter(tensors.keys() - known.keys()), self.targets.select),
                hint="the same step made anew here",
            )
        kept = {part: tuple(tensors[path].tolist()) for path, part in known.items() if path in tensors}
        for part, places in kept.items():
            if (
                not places
                or list(places) != sorted(set(places))
                or not 0 <= places[0] <= places[-1] < part.count
            ):
                raise SurgeryError(
                    "the units were measured at another width",
                    path=part.path,
                    expected=f"places from 0 to {part.count - 1}",
                    hint="the same step made anew here",
                )
        return kept

    def _halved(self, patient: Patient) -> list[Edit]:
        """Edits after which there are fewer units everywhere."""
        parts, mine = parts_of_step(self, patient)
        left = {part: max(part.least, part.count // 2) for part in mine}
        return _edits(parts, {part: count for part, count in left.items() if count < part.count}, {}, patient)


def _edits(
    parts: list[Part], left: dict[Part, int], kept: dict[Part, tuple[int, ...]], patient: Patient
) -> list[Edit]:
    """The edits that leave so many units; which of them, `kept` says, or it is no matter yet."""
    refuse_unlike(parts, left)
    return [*Cutting(patient, left, kept, "first").edits(), *config_edits(patient, parts, left)]
