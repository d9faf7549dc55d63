"""What a model's output loses while one layer alone is of lower rank, measured on data."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from math import isfinite
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from graph.tree import module_at
from surgery.calibration.batches import Shown, run, shown
from surgery.calibration.observing import Inputs
from surgery.calibration.telling import told
from surgery.devices import device_of
from surgery.errors import SurgeryError
from surgery.factors.layers import Layer
from surgery.functions.factors import inward_factor, narrow_factor, outward_factor, wide_factor
from surgery.model import Patient, private_shell
from surgery.recipes import one_thread

PARTS = (1 / 16, 1 / 8, 1 / 4, 3 / 8, 1 / 2, 3 / 4)
"""Of a layer's weights, at which it is tried."""


def tried_ranks(layer: Layer) -> list[int]:
    """The ranks at which a layer is measured: those of PARTS that make it smaller, each once."""
    sides = layer.sides
    ranks = dict.fromkeys(max(1, int(part * sides.whole / sides.per_rank)) for part in PARTS)
    return [rank for rank in ranks if rank <= sides.most]


def distortions(
    patient: Patient,
    layers: Sequence[Layer],
    data: Sequence[Any],
    *,
    samples: int,
    seed: int = 0,
    seen: Sequence[Inputs] | None = None,
    ridge: float = 0.0,
) -> list[list[float]]:
    """Of each layer at each of its `tried_ranks`, ‖f(x) − f′(x)‖² / ‖f(x)‖² over at most `samples` examples.

    f(x) is what the model gives, its logits if it names them, without positions that are padding. Factors are
    those of the weights, or of the outputs on what the layers were `seen` to be given. The model stays as it
    is: a shell of it runs in evaluation mode. SurgeryError for no data, for data that it does not take or
    answers with no numbers, and Stopped.
    """
    shell, heard = private_shell(patient.root).eval(), told()
    batches = shown(data, samples, seed, "low_rank")
    found: list[list[float]] = []
    with torch.no_grad(), torch.random.fork_rng():
        base = [_output(shell, batch) for batch in batches]
        whole = sum(float(output.double().square().sum()) for output in base)
        if not isfinite(whole):
            raise SurgeryError("what the model gives on these data are not numbers, so that none is near it")
        for number, layer in enumerate(layers):
            found.append([])
            gram = None if seen is None else seen[number].gram
            for weight in _of_rank(layer, tried_ranks(layer), gram, ridge):
                heard.check()
                with _instead(shell, layer, weight):
                    moved = sum(
                        float((_output(shell, batch) - output).double().square().sum())
                        for batch, output in zip(batches, base, strict=True)
                    )
                found[-1].append(moved / whole if whole else moved)
            heard.progress((number + 1) / len(layers), f"{number + 1:,} of {len(layers):,} layers")
    return found


def _of_rank(layer: Layer, ranks: Sequence[int], gram: Tensor | None, ridge: float) -> list[Tensor]:
    """The layer's weight at each of these ranks: of one decomposition more and more directions."""
    if not ranks:
        return []
    weight, transposed = layer.weight.parameter.detach(), layer.transposed
    most, double = max(ranks), weight.double()
    with one_thread():
        if gram is not None:
            up = outward_factor(double, gram, rank=most, ridge=ridge, transposed=transposed)
            down = inward_factor(double, up, transposed=transposed)
        else:
            narrow = narrow_factor(double, rank=most, transposed=transposed)
            wide = wide_factor(double, narrow, transposed=transposed)
            tall = layer.sides.outputs > layer.sides.inputs
            up, down = (wide, narrow) if tall else (narrow, wide)
    found = []
    for rank in ranks:
        product = up.flatten(1)[:, :rank] @ down.flatten(1)[:rank]
        matrix = product.T if transposed else product
        found.append(matrix.reshape(weight.shape).to(weight.dtype))
    return found


@contextmanager
def _instead(shell: nn.Module, layer: Layer, weight: Tensor) -> Iterator[None]:
    """Within, the layer's modules in a shell have this weight."""
    slots = [module_at(shell, path)._parameters for path in layer.paths]
    before = slots[0]["weight"]
    try:
        for slot in slots:
            slot["weight"] = nn.Parameter(weight, requires_grad=False)
        yield
    finally:
        for slot in slots:
            slot["weight"] = before


def _output(model: nn.Module, batch: Shown) -> Tensor:
    """What the model gives: the first tensor of numbers; without positions that the batch calls padding."""
    given = run(model, batch, device_of(model), "low_rank")
    named = [given.get("logits")] if isinstance(given, Mapping) else []
    found = (item for item in [*named, *tree_leaves(given)] if isinstance(item, Tensor))
    output = next((item for item in found if item.is_floating_point()), None)
    if output is None:
        raise SurgeryError("the model gives no tensor of numbers", got=type(given).__name__)
    mask = batch.given.get("attention_mask") if isinstance(batch.given, Mapping) else None
    if isinstance(mask, Tensor) and mask.dim() == 2 and output.shape[:2] == mask.shape:
        return output[mask.bool()]
    return output
