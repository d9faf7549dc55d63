"""Narrow: fewer neurons, channels, experts, tokens, a narrower stream."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from math import floor
from typing import Literal

from surgery.edits import Edit
from surgery.errors import SurgeryError
from surgery.fields import Found, Targets, option
from surgery.model import Patient
from surgery.operation import Operation, operation
from surgery.widths.config import config_edits
from surgery.widths.cutting import Cutting
from surgery.widths.hanging import parts_of_step, with_found
from surgery.widths.part import Part
from surgery.widths.refusals import refuse_unlike
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
    agree and if it can say it; else a folder needs `surgery.load`.

    `heads` that share keys and values go together: `count` then is a number of query heads, `kept` are
    places of such groups.

    `channels` of convolutions go in groups that hang together: a convolution with its norm, what is added
    to it or multiplied with it, and what reads it (after Fang et al. 2023, arXiv:2301.12900). A group is
    narrowed if all modules that write it are among the targets, others are left as they are. A unit is a
    channel, or all that are one group of a grouped convolution or norm. What goes in, what comes out, and
    channels that look at one another (a softmax or LayerNorm over them) stay.

    `experts` of mixtures leave with their rows of the router; where it chooses among groups first, each
    group loses as many, and `kept` are places in a group.

    The `vocabulary` loses its last tokens alone, with `by="first"`: others would change their ids. It is
    found at the input embedding. No id may go that the config, the generation config or the tokenizer names.

    The `width` of a residual stream goes everywhere at once: columns of embeddings and of all that reads the
    stream, rows of all that writes it, gains of its norms, an encoder's and a decoder's alike if they share a
    tensor. Heads stay as wide as they were. RMSNorms take their mean over fewer entries, so with m of n left
    gains grow by √(n/m) and ε by n/m, and the result is as if the others had been zeros (ε stays where a
    config has one for norms of heads as well). LayerNorms also take a mean away: those are sliced, and the
    result is as if they had looked at the entries that stay alone; `to_rms_norm` before it makes that exact.

    Refused: no such units there, a count that is no whole number of units, a tie that leads out of the
    targets, modules under adapters, channels or width without example inputs, or where the forward computes
    with their number; the width of what comes out of a model without a head.
    """

    one_of = ("ratio", "count", "kept")

    targets: Targets = option(help="modules with such units, or what contains them")
    units: Literal["neurons", "heads", "channels", "experts", "vocabulary", "width"] = option(
        "neurons", help="what there are fewer of"
    )
    ratio: float | None = option(None, help="part of the units that goes", minimum=0.01, maximum=0.99)
    count: int | None = option(None, help="how many stay in each target", minimum=1)
    kept: tuple[int, ...] = option((), help="places of the units that stay, from 0, instead of a number")
    by: Literal["magnitude", "first"] = option("magnitude", help="which units stay")
    found: Found | None = option(None, help="channels or width that hang together, as the first run showed")

    def resolved(self, patient: Patient) -> Narrow:
        """Of channels and width also what hangs together: found with example inputs, else kept."""
        return with_found(super().resolved(patient), patient, lambda step: step.plan)

    def plan(self, patient: Patient) -> Iterator[Edit]:
        parts, mine = parts_of_step(self, patient)
        left = {part: self._left(part) for part in mine}
        if self.ratio is not None:  # of a few units it may be none
            left = {part: count for part, count in left.items() if count < part.count} or left
        for part, count in left.items():
            self._refuse_none(part, count)
            if self.units == "vocabulary":
                self._refuse_other_ids(part)
                refuse_lost(patient, part, count)
        refuse_unlike(parts, left)
        yield from Cutting(patient, left, dict.fromkeys(left, self.kept), self.by).edits()
        yield from config_edits(patient, parts, left)

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
            size = part.count * part.per_unit
            raise SurgeryError(
                f"is {size} wide" if self.units == "width" else f"has {size} {self.units}",
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
