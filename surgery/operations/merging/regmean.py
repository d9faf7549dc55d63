"""RegMean: linear layers that give on each model's inputs what that model gives."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from surgery.calibration.collecting import collect
from surgery.calibration.freezing import known
from surgery.calibration.layers import Layer, as_rows, layers_that_can
from surgery.charts import Chart, Curves
from surgery.errors import SurgeryError
from surgery.fields import option
from surgery.functions.regression import lessened, regressed
from surgery.lazy import Lazy, recipe
from surgery.measures import Measured
from surgery.merging import Here, Merging
from surgery.merging.alone import parents_alone
from surgery.merging.only import is_meant
from surgery.model import Patient
from surgery.operation import operation
from surgery.recipes import one_thread

WIDEST, LAYERS, ROWS, GLANCE = 1024, 128, 64, 16
"""Of a chart: inputs of a layer, layers, outputs of each, and examples that are run."""


@operation(title="RegMean", group="merge", source="Jin et al. 2022, arXiv:2212.09849")
class Regmean(Merging):
    """Each linear layer is the one whose outputs lie nearest to all models', each on its own inputs.

    Ŵᵀ = (Σ Gᵢ)⁻¹ Σ Gᵢ Wᵢᵀ over this model and the parents, Gᵢ = Σ x xᵀ being the Gram of what the layer is
    given in model i on at most `samples` examples of the session's `data`, the same for all models, padding
    left out; what stands beside its diagonal counts `beside` times. All other tensors, stacked experts,
    grouped convolutions and weights that something else reads too among them, are the mean of the models.
    `measured` holds the (inputs, inputs) Grams of each layer and model, so no replay needs the data.
    Identical inputs give the mean. Refused beside what other merges refuse: data that do not reach a layer, a
    sum of Grams without an inverse.
    """

    beside: float = option(
        0.9, help="how much inputs count together; 0 weighs each by itself", minimum=0.0, maximum=1.0
    )
    samples: int = option(128, help="examples to run at most in each model", minimum=1)
    seed: int = option(0, help="which batches come first", minimum=0)
    measured: Measured | None = option(None, help="the Grams of the inputs, once they were measured")

    def measure(self, patient: Patient, data: Sequence[Any]) -> dict[str, Tensor]:
        list(self.plan(patient))  # parents that do not fit are refused before they are run
        layers = self._layers(patient)
        wanted: dict[str, Any] = {"samples": self.samples, "seed": self.seed}
        found: dict[str, Tensor] = {}
        sums: dict[str, Tensor] = {}
        for number, model in enumerate((patient, *parents_alone(self, patient))):
            for path, inputs in collect(model, layers, data, **wanted, grams=True, verb=self.name).items():
                assert inputs.gram is not None
                gram = found[f"{path}.gram{number}"] = inputs.gram.float()
                found[f"{path}.tokens{number}"] = torch.tensor(inputs.tokens)
                whole = lessened(gram.double(), self.beside)
                sums[path] = sums[path] + whole if path in sums else whole
        for layer in layers:
            self._refuse_singular(layer.path, sums[layer.path])
            found[f"{layer.path}.transposed"] = torch.tensor(int(layer.kind == "transposed"))
        return found

    def merged(self, here: Here) -> Lazy:
        models, path = (here.base, *here.others), here.path.removesuffix(".weight")
        measured = None if self.measured is None else self.measured.tensors
        if measured is None or f"{path}.gram0" not in measured:
            return recipe("weighted_sum", *models, weights=(1 / len(models),) * len(models))
        transposed = bool(measured[f"{path}.transposed"])
        width = here.base.shape[0] if transposed else here.base.count // here.base.shape[0]
        grams = [
            known(self.measured, f"{path}.gram{number}", (width, width), torch.float32)
            for number in range(len(models))
        ]
        return recipe("regressed", *models, *grams, beside=self.beside, transposed=transposed)

    def chart(self, patient: Patient, data: Sequence[Any]) -> Chart | None:
        """How far layers are from what each model gives on its own inputs: as the mean, and as merged here.

        Σ ‖(Ŵ − Wᵢ) xᵢ‖² as part of Σ ‖Wᵢ xᵢ‖², on a few examples and of the first outputs of each layer; None
        where no layer is small enough to be merged while a form is filled in.
        """
        layers = [layer for layer in self._layers(patient) if layer.width <= WIDEST][:LAYERS]
        wanted: dict[str, Any] = {"samples": min(self.samples, GLANCE), "seed": self.seed}
        held: dict[str, list[tuple[Tensor, Tensor]]] = {layer.path: [] for layer in layers}
        for model in (patient, *parents_alone(self, patient)) if layers else ():
            found = collect(model, layers, data, **wanted, grams=True, verb=self.name)
            for layer in layers:
                weight = model.tensor(layer.weight).parameter.detach()
                gram = found[layer.path].gram
                assert gram is not None
                held[layer.path].append((as_rows(weight, layer.kind)[:ROWS].cpu().double(), gram))
        lines: dict[str, list[tuple[float, float]]] = {"mean": [], "RegMean": []}
        for number, (path, models) in enumerate(held.items()):
            weights, grams = zip(*models, strict=True)
            self._refuse_singular(path, torch.stack([lessened(gram, self.beside) for gram in grams]).sum(0))
            with one_thread():
                merged = regressed(*weights, *grams, beside=self.beside, transposed=False)
            mean = sum(weights) / len(weights)
            for name, made in (("mean", mean), ("RegMean", merged)):
                lines[name].append((float(number), 100 * _apart(made, weights, grams)))
        shown = {name: tuple(points) for name, points in lines.items()}
        title, y = "How far each layer is from those merged", "% of the output energy"
        return Curves(title=title, lines=shown, x="layer, in the order of the tree", y=y) if held else None

    def _layers(self, patient: Patient) -> list[Layer]:
        found = layers_that_can(patient, self.targets, self.name)
        return [layer for layer in found if is_meant(layer.sites, self.only)]

    def _refuse_singular(self, path: str, whole: Tensor) -> None:
        dead = torch.diag((whole.diagonal() == 0).double())
        with one_thread():
            _, failed = torch.linalg.cholesky_ex(whole + dead)
        if failed:
            raise SurgeryError(
                "the sum of the Grams of its inputs has no inverse",
                path=path,
                got=f"beside {self.beside:g}",
                hint="`beside=0.9`, or more `samples`",
            )


def _apart(made: Tensor, weights: Sequence[Tensor], grams: Sequence[Tensor]) -> float:
    """Σ ‖(Ŵ − Wᵢ) xᵢ‖² as part of Σ ‖Wᵢ xᵢ‖²."""
    lost = sum(
        float((((made - one) @ gram) * (made - one)).sum()) for one, gram in zip(weights, grams, strict=True)
    )
    whole = sum(float(((one @ gram) * one).sum()) for one, gram in zip(weights, grams, strict=True))
    return lost / whole if whole else 0.0
