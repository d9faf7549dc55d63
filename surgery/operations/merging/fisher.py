"""Fisher merging: each weight from the models that are sure of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from surgery.calibration.freezing import known
from surgery.calibration.information import information
from surgery.errors import SurgeryError
from surgery.fields import Schedule, option
from surgery.lazy import Lazy, recipe
from surgery.measures import Measured
from surgery.merging import Here, Merging
from surgery.merging.alone import parents_alone
from surgery.merging.merging import matched
from surgery.merging.shares import shares
from surgery.model import Patient
from surgery.operation import operation


@operation(title="Fisher", group="merge", source="Matena and Raffel 2021, arXiv:2111.09832")
class Fisher(Merging):
    """Each weight is Σ λᵢ Fᵢ θᵢ / Σ λᵢ Fᵢ over this model and the parents: nearest to those sure of it.

    Fᵢ = E[(∂ log p(y|x) / ∂θᵢ)²] on at most `samples` examples x of the session's `data`, the same for all
    models, y drawn from what model i answers: a class, or a token at each position that is no padding.
    `weights` are λ: this model's, then one per parent. `measured` holds an F of the tensor's shape for each
    tensor and model, so no replay needs the data. Where no model is sure it is the mean with λ. Refused
    beside what other merges refuse: no data, a model without logits.
    """

    weights: tuple[Schedule, ...] = option((), help="this model's, then one per parent; equal if empty")
    samples: int = option(32, help="examples to differentiate at most in each model", minimum=1)
    seed: int = option(0, help="which batches come first, and what answers are drawn", minimum=0)
    measured: Measured | None = option(None, help="the Fisher information, once it was measured")

    def shares(self, count: int) -> int:
        return count + 1

    def measure(self, patient: Patient, data: Sequence[Any]) -> dict[str, Tensor]:
        list(self.plan(patient))  # parents that do not fit are refused before they are run
        tensors = matched(patient, self.targets, self.parents, self.only, self.vocabulary)
        paths = [places[0] for places, _, _ in tensors]
        found: dict[str, Tensor] = {}
        for number, model in enumerate((patient, *parents_alone(self, patient))):
            sure = information(model, paths, data, samples=self.samples, seed=self.seed, verb=self.name)
            found |= {f"{path}.fisher{number}": tensor for path, tensor in sure.items()}
        return found

    def merged(self, here: Here) -> Lazy:
        models = (here.base, *here.others)
        given = here.values(self.weights, len(models), 1.0)
        if any(weight < 0 for weight in given):
            raise SurgeryError(
                "a model cannot be less than not sure", path=here.path, got=list(given), expected="0 or more"
            )
        weights = shares(given, here.path)
        sure = [
            known(self.measured, f"{here.path}.fisher{number}", here.base.shape, torch.float32)
            for number in range(len(models))
        ]
        return recipe("fisher_mean", *models, *sure, weights=weights)
