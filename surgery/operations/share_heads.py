"""Share heads: attention heads that take the weights of the heads most like them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from fractions import Fraction
from math import ceil, floor
from typing import Any

from torch import nn

from surgery.charts import Chart, Curves
from surgery.edits import Edit, SetModule, SetTensor
from surgery.errors import SurgeryError
from surgery.fields import Found, Targets, option
from surgery.lazy import Recipe, recipe
from surgery.model import Patient
from surgery.modules.heads import HeadsLinear
from surgery.operation import Operation, operation
from surgery.tying.heads import (
    Head,
    Projection,
    apart,
    attentions,
    cosines_of,
    given_up,
    matched,
    refuse_tied_outside,
)


@operation(title="Share heads", group="tie", source="DirectShare: Cao et al. 2024, arXiv:2402.11819")
class ShareHeads(Operation):
    """Some attention heads have the queries, keys and values of the heads most like them, wherever these are.

    How alike two heads are is the cosine of [W_q ‖ W_k]; where query heads share keys and values, such a
    group counts as a head. Again and again the later one of the two most alike gives up its weights, and each
    takes those of the head most like it that is left. Fields: `targets`: attention modules, or what contains
    them; `ratio` in (0, 1): ⌊ratio · n⌋ of their n heads give up theirs; `found`: the pairs, once they were
    found, so no replay needs the weights for it. The weights of queries, keys and values of all targets are
    stored head by head then, (head size, inputs) each, a shared one once; they are put together at each call.
    Biases and what leads out stay each one's own; the KV cache stays. Refused: queries, keys and values that
    are one linear module, heads that all have the same keys, heads of different shapes, adapters, weights
    tied to other places, modules used at several paths.
    """

    targets: Targets = option(help="attention modules, or what contains them")
    ratio: float = option(
        0.25, help="part of the heads that give up their weights", minimum=0.01, maximum=0.99
    )
    found: Found | None = option(None, help="the pairs of heads, once they were found")

    @property
    def awaits_measure(self) -> bool:
        return self.found is None

    def with_measure(self, patient: Patient, data: Sequence[Any]) -> ShareHeads:
        """With the pairs that are most alike by the weights, which need no data."""
        if self.found is not None:
            return self
        step = self.resolved(patient)
        units = step._units(patient)
        pairs = matched(cosines_of([unit[0] for unit in units]), step._count(len(units)))
        made: ShareHeads = replace(step, **{"found": Found([list(pair) for pair in pairs])})
        return made

    def plan(self, patient: Patient) -> Iterator[Edit]:
        units = self._units(patient)
        taken = dict(self._pairs(len(units), self._count(len(units))))
        for one in dict.fromkeys(one for unit in units for one, _ in unit):
            for item in one.projections:
                yield SetModule(item.path, _by_heads(item.count))
        made: dict[int, list[Recipe]] = {}
        for number, places in enumerate(units):
            source = taken.get(number, number)
            giver, head = units[source][0]
            slices = made.setdefault(source, [_slice(item, head) for item in giver.projections])
            for one, place in places:
                for mine, tensor in zip(one.projections, slices, strict=True):
                    yield SetTensor(f"{mine.path}.head_{place}", tensor)

    def chart(self, patient: Patient, data: Sequence[Any]) -> Chart | None:
        """How alike the two heads are of which one gives up its weights next, with a mark at the ratio."""
        units = self._units(patient)
        count = len(units)
        turns = given_up(cosines_of([unit[0] for unit in units]), count - 1)
        if not turns:
            return None
        return Curves(
            title=f"The two most alike of {count} heads, one gone after another",
            lines={"heads": tuple((turn / count, cosine) for turn, (_, cosine) in enumerate(turns, 1))},
            x="part of the heads that gave up their weights",
            y="cosine of [W_q ‖ W_k]",
            mark=self.ratio,
        )

    def _units(self, patient: Patient) -> list[list[Head]]:
        found = attentions(patient, self.targets, self.name)
        refuse_tied_outside(patient, found)
        return apart(found)

    def _count(self, heads: int) -> int:
        count = floor(Fraction(repr(self.ratio)) * heads)
        if not count:
            raise SurgeryError(
                "there are too few heads for this ratio to share one",
                path=self.targets.select,
                got=f"{heads} heads, ratio {self.ratio:g}",
                hint=f"ratio={ceil(100 / heads) / 100:g} or more" if heads > 1 else "more targets",
            )
        return count

    def _pairs(self, heads: int, count: int) -> list[tuple[int, int]]:
        """Which head takes the weights of which; before it is known as many as will be, of the first."""
        if self.found is None:
            return [(heads - 1 - place, 0) for place in range(count)]
        data = self.found.data
        known = isinstance(data, list) and all(
            isinstance(pair, list)
            and len(pair) == 2
            and all(type(head) is int and 0 <= head < heads for head in pair)
            for pair in data
        )
        pairs = [(pair[0], pair[1]) for pair in data] if known else []
        takers = {taker for taker, _ in pairs}
        if len(pairs) != count or len(takers) != count or takers & {giver for _, giver in pairs}:
            raise SurgeryError(
                "the pairs of heads were found on other heads than these",
                path=self.targets.select,
                got=f"{len(pairs)} pairs that fit",
                expected=f"{count} of {heads} heads",
                hint="the step without `found`",
            )
        return pairs


def _slice(item: Projection, head: int) -> Recipe:
    """The weight of a head, (head size, inputs)."""
    start, end = item.slice_of(head)
    sides = end - start, item.weight.shape[1]
    strides, offset = (sides[1], 1), start * sides[1]
    return recipe("viewed", item.weight, shape=sides, sides=sides, strides=strides, offset=offset)


def _by_heads(count: int) -> Any:
    def build(replaced: nn.Module) -> nn.Module:
        return HeadsLinear(replaced, count)

    return build
