"""Set the smallest weights to zero."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from math import floor
from typing import Any, Literal

import torch
from torch import nn

from surgery.adapters.lora import is_transposed
from surgery.calibration.patterns import ANYWHERE, Pattern, dropped
from surgery.charts import Chart, Curves
from surgery.edits import Edit, SetTensor
from surgery.errors import SurgeryError
from surgery.fields import Targets, option
from surgery.lazy import Held, Reduction, recipe
from surgery.model import Patient
from surgery.operation import Operation, operation

LINES, POINTS, SEEN = 4, 33, 1 << 18
"""Of a chart: weights that have a line, points of each, and elements that are looked at."""


@operation(
    title="Sparsify", group="prune", source="magnitude pruning after Han et al. 2015, arXiv:1506.02626"
)
class Sparsify(Operation):
    """The given part of the weights, those of smallest magnitude, is zero; shapes stay.

    Fields: `targets`: modules, of which every parameter of two or more dimensions is taken, a tied
    one once; `ratio` in (0, 1]; `scope`: `tensor` zeroes that part of each, `global` of all together.
    Exactly ⌊ratio · n⌋ elements are zeroed, those at the threshold in the order of (path, flat index).
    `pattern`: `2:4` zeroes two of every four inputs of each output that follow one another, `4:8` four of
    every eight, both with ratio 0.5 and tensor by tensor. MACs stay: a dense kernel multiplies zeros too.
    Refused: targets without such parameters, inputs that a pattern does not divide.
    """

    targets: Targets = option(help="the modules whose weights are thinned out")
    ratio: float = option(
        0.5, help="part of the weights that becomes zero", minimum=0.01, maximum=1.0, beside=ANYWHERE
    )
    scope: Literal["tensor", "global"] = option(
        "tensor", help="the part of each tensor, or of all together", beside=ANYWHERE
    )
    pattern: Pattern = option("unstructured", help="anywhere, or so many of each run of inputs")

    def keeps_structure(self) -> bool:
        return True

    def plan(self, patient: Patient) -> Iterator[Edit]:
        if self.pattern != "unstructured":
            yield from self._in_pattern(patient)
            return
        found = list(self._weights(patient).values())
        groups = [found] if self.scope == "global" else [[lazy] for lazy in found]
        groups = [group for group in groups if self._zeros(group)]
        if not groups:
            raise SurgeryError(
                "no weight is large enough for this ratio to zero a single element",
                path=self.targets.select,
                got=f"ratio {self.ratio:g}",
            )
        sites = patient.sites()
        for group in groups:
            smallest = _smallest(group, self._zeros(group))
            for index, lazy in enumerate(group):
                thinned = recipe(
                    "zero_smallest", lazy, smallest, index=index, bits=smallest.arguments["bits"]
                )
                for place in sites[id(lazy.parameter)]:
                    yield SetTensor(place, thinned)

    def _in_pattern(self, patient: Patient) -> Iterator[Edit]:
        """The runs of each output by themselves, all inputs weighing the same."""
        sites = patient.sites()
        if self.scope == "global":
            raise SurgeryError("a pattern is kept in each tensor", path=f"{self.name}.scope", got="global")
        for path, lazy in self._weights(patient).items():
            owner = patient.module(path.rpartition(".")[0])
            transposed = is_transposed(owner)
            within = lazy.shape[1:] if isinstance(owner, nn.modules.conv._ConvNd) else lazy.shape[-1:]
            inputs = lazy.shape[0] if transposed else torch.Size(within).numel()
            drop, run = dropped(self.pattern, self.ratio, inputs, path, self.name)
            width = lazy.shape[0] if transposed else lazy.count // lazy.shape[0]
            alike = recipe("ones", shape=(width,), dtype=torch.float32)
            zeros = lazy.count // run * drop
            thinned = recipe(
                "zero_lightest", lazy, alike, drop=drop, run=run, transposed=transposed, zeros=zeros
            )
            for place in sites[id(lazy.parameter)]:
                yield SetTensor(place, thinned)

    def chart(self, patient: Patient, data: Sequence[Any]) -> Chart:
        """How large the weights are, from the smallest on, with a mark where the zeros end."""
        weights = self._weights(patient)
        lines = {name: _spread(lazy.parameter) for name, lazy in list(weights.items())[:LINES]}
        return Curves(
            title="Magnitude of the weights"
            + (f", {LINES} of {len(weights)}" if len(weights) > LINES else ""),
            lines=lines,
            x="part of the weights, the smallest first",
            y="|w|",
            mark=self.ratio,
        )

    def _weights(self, patient: Patient) -> dict[str, Held]:
        """What is thinned out, by the path it is found at first."""
        weights: dict[str, Held] = {}
        seen: set[int] = set()
        for path in self.targets.paths:
            for name, lazy in patient.tensors(path):
                matrix = len(lazy.shape) > 1 and lazy.dtype.is_floating_point
                if matrix and id(lazy.parameter) not in seen:
                    seen.add(id(lazy.parameter))
                    weights[f"{path}.{name}" if path else name] = lazy
        if not weights:
            raise SurgeryError(
                "has no weight of two or more dimensions", path=self.targets.select, hint="`**:Linear`"
            )
        return weights

    def _zeros(self, group: list[Held]) -> int:
        part = Fraction(repr(self.ratio))  # as it is written: 0.29 of 100 is 29, in binary it would be 28
        return floor(part * sum(lazy.count for lazy in group))


def _smallest(group: list[Held], k: int) -> Reduction:
    bits = 64 if any(lazy.dtype == torch.float64 for lazy in group) else 32
    return Reduction(
        function="smallest_magnitudes",
        inputs=tuple(group),
        shape=(1 + len(group),),
        dtype=torch.int64,
        arguments={"k": k, "bits": bits},
    )


def _spread(weight: torch.Tensor) -> tuple[tuple[float, float], ...]:
    """Magnitudes at even parts of a weight, in ascending order; of a large one, of evenly spaced elements."""
    flat = weight.detach().flatten()
    magnitudes = flat[:: max(1, flat.numel() // SEEN)].abs().double().sort().values
    places = torch.linspace(0, len(magnitudes) - 1, POINTS).round().long()
    found = magnitudes[places].tolist()
    return tuple((place / (POINTS - 1), value) for place, value in enumerate(found))
