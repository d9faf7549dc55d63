"""What the layers are given that get factors by their inputs, and the Grams of it that a step keeps.

Of their rank these are nearest in the outputs they make, not in their weights. Source: SVD-LLM, Wang et al.
2024, arXiv:2403.07378.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from surgery.calibration.collecting import collect
from surgery.calibration.enough import refuse_few
from surgery.calibration.freezing import frozen_grams, known_gram
from surgery.calibration.layers import Layer as Heard
from surgery.calibration.layers import layers_of
from surgery.calibration.observing import Inputs
from surgery.errors import SurgeryError
from surgery.factors.layers import Layer
from surgery.factors.spectra import energies_of, energies_seen
from surgery.fields import Targets
from surgery.lazy import Known
from surgery.measures import Measured
from surgery.model import Patient

VERB = "low_rank"


def inputs_of(
    patient: Patient, layers: Sequence[Layer], data: Sequence[Any], *, samples: int, seed: int, ridge: float
) -> list[Inputs]:
    """What each layer is given in the model as it is, with its Gram; all data at once, see `collect`.

    SurgeryError for data that do not reach a layer, and without a ridge for fewer tokens than inputs.
    """
    heard = _heard(patient, layers)
    found = collect(patient, heard, data, samples=samples, seed=seed, grams=True, verb=VERB)
    for item in heard:
        refuse_few(item, found[item.path], ridge)
    return [found[item.path] for item in heard]


def energies_by(layers: Sequence[Layer], seen: Sequence[Inputs] | None, ridge: float) -> list[torch.Tensor]:
    """σ² of each layer's weight, or of its outputs on what was `seen`."""
    weights = [layer.weight.parameter for layer in layers]
    if seen is None:
        return [energies_of(weight) for weight in weights]
    found = []
    for layer, weight, its in zip(layers, weights, seen, strict=True):
        assert its.gram is not None
        found.append(energies_seen(weight, its.gram, ridge, transposed=layer.transposed))
    return found


def frozen(patient: Patient, layers: Sequence[Layer], inputs: Sequence[Inputs]) -> dict[str, Tensor]:
    """For a step to keep: the Grams of these layers; see `frozen_grams`."""
    heard = _heard(patient, layers)
    return frozen_grams(heard, {item.path: its for item, its in zip(heard, inputs, strict=True)})


def known_grams(patient: Patient, layers: Sequence[Layer], measured: Measured | None) -> list[Known]:
    """The Grams that were kept of these very layers, for a plan; their shapes alone before that."""
    heard = _heard(patient, layers)
    return [known_gram(measured, heard, number) for number in range(len(heard))]


def _heard(patient: Patient, layers: Sequence[Layer]) -> list[Heard]:
    """The same layers as those that can be listened to."""
    paths = tuple(layer.path for layer in layers)
    found = layers_of(patient, Targets(", ".join(paths), paths), VERB) if layers else []
    by_place = {place: item for item in found for place in item.places}
    for path in paths:
        if path not in by_place:
            raise SurgeryError(
                "what it is given cannot be listened to",
                path=path,
                got=type(patient.module(path)).__name__,
                hint='`by="weights"`',
            )
    return [by_place[path] for path in paths]
