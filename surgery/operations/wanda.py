"""Set to zero what weighs least by the inputs it multiplies."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from surgery.calibration.collecting import collect
from surgery.calibration.freezing import known
from surgery.calibration.layers import Layer, as_rows, layers_of
from surgery.calibration.observing import Inputs
from surgery.calibration.patterns import ANYWHERE, Pattern, dropped, refuse_none
from surgery.calibration.turns import in_turn
from surgery.charts import Chart, Curves
from surgery.edits import Edit, SetTensor
from surgery.fields import Targets, option
from surgery.functions.lightest import scores
from surgery.lazy import Lazy, Recipe, recipe
from surgery.measures import Measured
from surgery.model import Patient
from surgery.operation import Operation, operation
from surgery.recipes import compute_on

LINES, POINTS, ROWS, GLANCE = 4, 33, 256, 16
"""Of a chart: layers that have a line, points of each, outputs that are looked at, examples that are run."""


@operation(title="Wanda", group="prune", source="Sun et al. 2023, arXiv:2306.11695")
class Wanda(Operation):
    """Of each output's weights those of smallest |w| · ‖x‖ are zero, x being the input they multiply.

    Fields: `targets`: linear layers, GPT-2's Conv1D and convolutions without groups, or what contains them;
    `ratio` in (0, 1) of the inputs of each output, rounded down; `pattern` `2:4`: two of every four inputs
    that follow one another, `4:8`: four of every eight, both with ratio 0.5. ‖x‖ is the norm of an input over
    the tokens of at most `samples` examples of the session's `data`, batches in an order drawn with `seed`,
    padding left out. `sequential`: block after block, each given what the pruned blocks before it make, as in
    the paper's code; otherwise all inputs are those of the model as it is. `measured` holds (inputs,) norms
    and the number of tokens of each layer, so no replay needs the data. Ties, and blocks called several
    times, are pruned by the inputs at all of their places. Shapes and MACs stay. Refused: targets without
    such layers, stacked experts, a weight that an embedding reads too, a width that a pattern does not
    divide, data that do not reach a layer.
    """

    targets: Targets = option(help="the layers whose weights are thinned out, or what contains them")
    ratio: float = option(
        0.5,
        help="part of each output's weights that becomes zero",
        minimum=0.01,
        maximum=0.99,
        beside=ANYWHERE,
    )
    pattern: Pattern = option("unstructured", help="anywhere in a row, or so many of each run of inputs")
    samples: int = option(128, help="examples to run at most: windows of text, images", minimum=1)
    seed: int = option(0, help="which batches come first", minimum=0)
    sequential: bool = option(True, help="later blocks see the pruned ones before them")
    measured: Measured | None = option(None, help="the norms of the inputs, once they were measured")

    def keeps_structure(self) -> bool:
        return True

    def measure(self, patient: Patient, data: Sequence[Any]) -> dict[str, Tensor]:
        layers = self._layers(patient)
        if self.sequential:
            found = in_turn(
                patient, layers, data, self._thinned, samples=self.samples, seed=self.seed, grams=False,
                verb=self.name,
            )  # fmt: skip
        else:
            found = collect(
                patient, layers, data, samples=self.samples, seed=self.seed, grams=False, verb=self.name
            )
        norms = {f"{path}.norms": inputs.squares.sqrt() for path, inputs in found.items()}
        return norms | {f"{path}.tokens": torch.tensor(inputs.tokens) for path, inputs in found.items()}

    def plan(self, patient: Patient) -> Iterator[Edit]:
        layers = self._layers(patient)
        made = [
            self._recipe(
                layer,
                patient.tensor(layer.weight),
                known(self.measured, f"{layer.path}.norms", (layer.width,), torch.float64),
            )
            for layer in layers
        ]
        refuse_none(sum(int(str(item.arguments["zeros"])) for item in made), self.targets.select, self.ratio)
        for layer, item in zip(layers, made, strict=True):
            for site in layer.sites if item.arguments["zeros"] else ():
                yield SetTensor(site, item)

    def chart(self, patient: Patient, data: Sequence[Any]) -> Chart:
        """How much of all that weights carry the lightest carry, with a mark where the zeros end.

        On the inputs of a few examples, and of the model as it is; of some layers evenly spread.
        """
        found = self._layers(patient)
        layers, samples = found[:: -(-len(found) // LINES)], min(self.samples, GLANCE)
        inputs = collect(patient, layers, data, samples=samples, seed=self.seed, grams=False, verb=self.name)
        lines = {}
        for layer in layers:
            rows = as_rows(patient.tensor(layer.weight).parameter.detach(), layer.kind)[:ROWS]
            carried = scores(rows, inputs[layer.path].squares.sqrt()).double().cpu().square()
            sums = torch.cat([torch.zeros(1), carried.sort(dim=1).values.sum(0).cumsum(0)])
            places = torch.linspace(0, layer.width, POINTS).round().long()
            values = (sums[places] / sums[-1].clamp_min(1e-300)).tolist()
            lines[layer.path] = tuple((place / (POINTS - 1), value) for place, value in enumerate(values))
        return Curves(
            title="What the lightest weights carry"
            + (f", {len(layers)} of {len(found)} layers" if len(found) > len(layers) else ""),
            lines=lines,
            x="part of the weights of an output, the lightest first",
            y="part of Σ (|w| · ‖x‖)²",
            mark=self.ratio,
        )

    def _layers(self, patient: Patient) -> list[Layer]:
        found = layers_of(patient, self.targets, self.name)
        for layer in found:
            dropped(self.pattern, self.ratio, layer.width, layer.path, self.name)
        return found

    def _recipe(self, layer: Layer, weight: Lazy, norms: Lazy) -> Recipe:
        drop, run = dropped(self.pattern, self.ratio, layer.width, layer.path, self.name)
        zeros = layer.outputs * (layer.width // run) * drop
        transposed = layer.kind == "transposed"
        return recipe("zero_lightest", weight, norms, drop=drop, run=run, transposed=transposed, zeros=zeros)

    def _thinned(self, layer: Layer, inputs: Inputs, weight: Tensor) -> Tensor:
        return compute_on(lambda *lazies: self._recipe(layer, *lazies), weight, inputs.squares.sqrt())
