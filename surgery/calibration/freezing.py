"""Grams as a step keeps them: in float32, and one that several layers share once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from surgery.calibration.layers import Layer
from surgery.calibration.observing import Inputs
from surgery.errors import SurgeryError
from surgery.lazy import Known
from surgery.measures import Measured

NEAR = 4
"""Layers before one whose Gram may be its own too: query, key and value, gate and up."""


def frozen_grams(layers: Sequence[Layer], inputs: Mapping[str, Inputs]) -> dict[str, Tensor]:
    """For a step to keep: `path.gram` (width, width) float32, or `path.same`: the number of the layer that
    has it; and `path.tokens`, how many were seen. `known_gram` reads it back.
    """
    found: dict[str, Tensor] = {}
    grams: list[Tensor] = []
    for number, layer in enumerate(layers):
        gram = inputs[layer.path].gram
        assert gram is not None
        grams.append(gram.float())
        near = range(max(0, number - NEAR), number)
        same = next((place for place in near if torch.equal(grams[place], grams[-1])), None)
        if same is None:
            found[f"{layer.path}.gram"] = grams[-1]
        else:
            found[f"{layer.path}.same"] = torch.tensor(same)
        found[f"{layer.path}.tokens"] = torch.tensor(inputs[layer.path].tokens)
    return found


def known_gram(measured: Measured | None, layers: Sequence[Layer], number: int) -> Known:
    """The Gram of layer `number` for a plan; of a preview that nothing was measured for its shape alone."""
    wanted = layers[number]
    while measured is not None and measured.tensors is not None and f"{wanted.path}.same" in measured.tensors:
        wanted = layers[int(measured.tensors[f"{wanted.path}.same"])]
    width = layers[number].width
    return known(measured, f"{wanted.path}.gram", (width, width), torch.float32)


def known(measured: Measured | None, name: str, shape: tuple[int, ...], dtype: torch.dtype) -> Known:
    """A measured tensor for a plan, or one without values; SurgeryError if it has another shape."""
    if measured is None:
        return Known(shape=shape, dtype=dtype, tensor=torch.empty(shape, dtype=dtype, device="meta"))
    found = measured.lazy(name)
    if found.shape != shape:
        raise SurgeryError(
            "the inputs were measured at another width",
            path=name.rpartition(".")[0],
            got=list(found.shape),
            expected=list(shape),
        )
    return found
