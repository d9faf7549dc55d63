"""Prune layer by layer, the weights that stay making up for those that go."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import Any

import torch
from torch import Tensor

from graph.paths import is_among
from surgery.calibration.collecting import collect
from surgery.calibration.enough import refuse_few
from surgery.calibration.freezing import frozen_grams, known_gram
from surgery.calibration.layers import Layer, as_rows, layers_of
from surgery.calibration.observing import Inputs
from surgery.calibration.patterns import ANYWHERE, Pattern, dropped, refuse_none
from surgery.calibration.turns import in_turn
from surgery.charts import Bars, Chart
from surgery.edits import Edit, SetTensor
from surgery.errors import SurgeryError
from surgery.evaluate.blocks import block_paths
from surgery.fields import Targets, option
from surgery.functions.brain_surgeon import factor, in_block, pruned
from surgery.lazy import Lazy, Recipe, recipe
from surgery.measures import Measured
from surgery.model import Patient
from surgery.operation import Operation, operation
from surgery.recipes import compute_on, one_thread

BARS, ROWS, GLANCE, MOST_WORK = 8, 64, 16, 2e10
"""Of a chart: layers, before they are taken by blocks; outputs of each that are pruned; examples that are
run; and Σ inputs³ of the layers."""

RIDGES = (1e-6, 1e-4, 0.01, 0.1, 1.0)
"""What is tried, to say which ridge would do."""


@operation(title="SparseGPT", group="prune", source="Frantar and Alistarh 2023, arXiv:2301.00774")
class SparseGpt(Operation):
    """The weights that cost a layer's output least are zero, and those that stay make up for them.

    Fields: `targets`: linear layers, GPT-2's Conv1D and convolutions without groups, or what contains them;
    `ratio` in (0, 1) of the weights of all outputs together in each `block` of inputs (columns), rounded
    down; `pattern` `2:4`: two of every four inputs of each output, `4:8`: four of every eight, both with
    ratio 0.5. The inputs are those of at most `samples` examples of the session's `data`, batches in an order
    drawn with `seed`, padding left out; `ridge` times the mean of the diagonal is added to their Gram Σ x xᵀ
    so that it can be inverted. `sequential`: block after block, each given what the pruned blocks before it
    make, as in the paper's code; otherwise all inputs are those of the model as it is. `measured` holds
    (inputs, inputs) Grams and the number of tokens of each layer, so no replay needs the data. Ties, and
    blocks called several times, are pruned by the inputs at all of their places. Weights of inputs that are
    always zero are zero. Shapes and MACs stay. Refused: targets without such layers, stacked experts, a
    weight that an embedding reads too, a width or block that a pattern does not divide, data that do not
    reach a layer, without a ridge fewer tokens than inputs, a Gram that has no inverse.
    """

    targets: Targets = option(help="the layers whose weights are thinned out, or what contains them")
    ratio: float = option(
        0.5, help="part of the weights that becomes zero", minimum=0.01, maximum=0.99, beside=ANYWHERE
    )
    pattern: Pattern = option("unstructured", help="anywhere in a block, or so many of each run of inputs")
    samples: int = option(128, help="examples to run at most: windows of text, images", minimum=1)
    seed: int = option(0, help="which batches come first", minimum=0)
    sequential: bool = option(True, help="later blocks see the pruned ones before them")
    ridge: float = option(
        0.01, help="added to the Gram's diagonal, as part of its mean", minimum=0.0, maximum=10.0
    )
    block: int = option(128, help="inputs whose weights are chosen together", minimum=8)
    measured: Measured | None = option(None, help="the Grams of the inputs, once they were measured")

    def keeps_structure(self) -> bool:
        return True

    def measure(self, patient: Patient, data: Sequence[Any]) -> dict[str, Tensor]:
        layers = self._layers(patient)
        if self.sequential:
            found = in_turn(
                patient, layers, data, self._pruned, samples=self.samples, seed=self.seed, grams=True,
                verb=self.name,
            )  # fmt: skip
        else:
            found = collect(
                patient, layers, data, samples=self.samples, seed=self.seed, grams=True, verb=self.name
            )
            for layer in layers:
                self._refuse_unsolvable(layer, found[layer.path])
        return frozen_grams(layers, found)

    def plan(self, patient: Patient) -> Iterator[Edit]:
        layers = self._layers(patient)
        made = [
            self._recipe(layer, patient.tensor(layer.weight), known_gram(self.measured, layers, number))
            for number, layer in enumerate(layers)
        ]
        refuse_none(sum(int(str(item.arguments["zeros"])) for item in made), self.targets.select, self.ratio)
        for layer, item in zip(layers, made, strict=True):
            for site in layer.sites if item.arguments["zeros"] else ():
                yield SetTensor(site, item)

    def chart(self, patient: Patient, data: Sequence[Any]) -> Chart | None:
        """The part of the output energy that is lost, on a few examples, by layer or by block.

        Each layer alone, of as many as can be pruned while a form is filled in; None where that is none.
        """
        whole = self._layers(patient)
        layers = [layer for layer, spent in zip(whole, _work(whole), strict=True) if spent <= MOST_WORK]
        if not layers:
            return None
        samples = min(self.samples, GLANCE)
        found = collect(patient, layers, data, samples=samples, seed=self.seed, grams=True, verb=self.name)
        blocks = block_paths(patient.root) if len(layers) > BARS else ()
        sums: dict[str, list[float]] = {}
        for layer in layers:
            self._refuse_unsolvable(layer, found[layer.path])
            name = next((path for path in blocks if is_among(layer.path, [path])), layer.path)
            lost, energy = self._energies(layer, patient, found[layer.path])
            before = sums.setdefault(name, [0.0, 0.0])
            sums[name] = [before[0] + lost, before[1] + energy]
        shown = "" if len(layers) == len(whole) else f", {len(layers)} of {len(whole)} layers"
        return Bars(
            title=f"Output energy that is lost{shown}",
            labels=tuple(name.rpartition(".")[2] for name in sums),
            values=tuple(100 * lost / energy if energy else 0.0 for lost, energy in sums.values()),
            unit="%",
        )

    def _energies(self, layer: Layer, patient: Patient, inputs: Inputs) -> tuple[float, float]:
        """Σ ‖(W − Ŵ) x‖² and Σ ‖W x‖² of the first outputs."""
        weight = patient.tensor(layer.weight).parameter.detach()
        rows = as_rows(weight, layer.kind)[:ROWS].cpu().double()
        drop, run = dropped(self.pattern, self.ratio, layer.width, layer.path, self.name)
        gram, run = inputs.gram, 0 if self.pattern == "unstructured" else run
        assert gram is not None
        with one_thread():
            lost = rows - pruned(rows.clone(), gram, self.ratio, drop, run, self.block, self.ridge)
        return float(((lost @ gram) * lost).sum()), float(((rows @ gram) * rows).sum())

    def _layers(self, patient: Patient) -> list[Layer]:
        found = layers_of(patient, self.targets, self.name)
        for layer in found:
            _, run = dropped(self.pattern, self.ratio, layer.width, layer.path, self.name)
            if self.pattern != "unstructured" and self.block % run:
                raise SurgeryError(
                    f"a block does not hold whole runs of {run} inputs",
                    path=f"{self.name}.block",
                    got=self.block,
                    expected=f"a multiple of {run}",
                )
        return found

    def _recipe(self, layer: Layer, weight: Lazy, gram: Lazy) -> Recipe:
        drop, run = dropped(self.pattern, self.ratio, layer.width, layer.path, self.name)
        zeros = layer.outputs * (layer.width // run) * drop
        if self.pattern == "unstructured":
            drop = run = 0
            starts = range(0, layer.width, self.block)
            sizes = [min(self.block, layer.width - start) * layer.outputs for start in starts]
            zeros = sum(in_block(self.ratio, size) for size in sizes)
        return recipe(
            "prune_and_compensate",
            weight,
            gram,
            ratio=self.ratio,
            drop=drop,
            run=run,
            block=self.block,
            ridge=self.ridge,
            transposed=layer.kind == "transposed",
            zeros=zeros,
        )

    def _pruned(self, layer: Layer, inputs: Inputs, weight: Tensor) -> Tensor:
        self._refuse_unsolvable(layer, inputs)
        assert inputs.gram is not None
        return compute_on(lambda *lazies: self._recipe(layer, *lazies), weight, inputs.gram.float())

    def _refuse_unsolvable(self, layer: Layer, inputs: Inputs) -> None:
        """SurgeryError for a Gram, as it is kept, that has no inverse with this ridge."""
        assert inputs.gram is not None
        refuse_few(layer, inputs, self.ridge)
        gram = inputs.gram.float().double()
        if _has_factor(gram, self.ridge):
            return
        enough = next((ridge for ridge in RIDGES if ridge > self.ridge and _has_factor(gram, ridge)), None)
        raise SurgeryError(
            "the Gram of its inputs has no inverse",
            path=layer.path,
            got=f"ridge {self.ridge:g}, {inputs.tokens:,} tokens",
            expected=f"{layer.width:,} inputs that do not hang on each other",
            hint="more `samples`" if enough is None else f"`ridge={enough:g}`",
        )


def _work(layers: Sequence[Layer]) -> list[float]:
    """What is spent once each layer is done, in cubes of its inputs."""
    return list(accumulate(float(layer.width) ** 3 for layer in layers))


def _has_factor(gram: Tensor, ridge: float) -> bool:
    try:
        with one_thread():
            return bool(torch.isfinite(factor(gram, ridge)).all())
    except torch.linalg.LinAlgError:  # type: ignore[attr-defined]
        return False
