"""How much hangs on each unit of a part: by its weights, by what it hands on, by the slope of the loss."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from surgery.calibration.batches import LABELS, first_argument, shown
from surgery.calibration.collecting import collect
from surgery.calibration.layers import layers_of
from surgery.calibration.telling import told
from surgery.devices import device_of
from surgery.errors import SurgeryError
from surgery.evaluate.data.examples import IDS, Batch, Examples
from surgery.evaluate.data.given import tensors
from surgery.fields import Targets
from surgery.model import Patient
from surgery.recipes import compute
from surgery.widths.cutting import energies
from surgery.widths.part import Part
from surgery.widths.readers import Reader, gated, readers

By = Literal["magnitude", "activation", "taylor", "fisher"]
Together = Sequence[Part]
"""Parts whose units go together, since all their tensors are tied."""
Read = tuple[int, Sequence[Reader]]
"""How many units there are, and who reads them."""


@dataclass(frozen=True)
class Shown:
    """What importance is measured on: at most `samples` examples of `data`, in an order drawn with `seed`."""

    data: Sequence[Any]
    samples: int
    seed: int
    verb: str
    """Who asks, for what is said of it."""


def importance(patient: Patient, together: Sequence[Together], by: By, on: Shown) -> list[Tensor]:
    """The importance of each unit, (count,) float64 on the CPU, of parts that go together.

    `magnitude`: Σ w² over all weights of the unit, which needs no data. The others run the examples in
    evaluation mode, and change nothing. `activation`: the root of the mean square of what the layers that
    read the unit are given of it. `taylor`: E |g|, `fisher`: E g² over examples, where g = Σ w · ∂L/∂w over
    the weights that read the unit and L is the loss of an example: of its `labels`, or of the next token.
    Raises SurgeryError for no data, no loss, and what is no number.
    """
    if by == "magnitude":
        found = [compute(energies(patient, parts[0]), {}) for parts in together]
    else:
        read = [(parts[0].count, readers(patient, parts)) for parts in together]
        found = _activations(patient, read, on) if by == "activation" else _slopes(patient, read, by, on)
    for parts, scores in zip(together, found, strict=True):
        if not bool(torch.isfinite(scores).all()):
            raise SurgeryError("the importance of its units is no number", path=parts[0].path)
    return [scores.detach().cpu().double() for scores in found]


def _activations(patient: Patient, read: Sequence[Read], on: Shown) -> list[Tensor]:
    """√(Σ x² / tokens) over what is read of each unit."""
    paths = tuple(dict.fromkeys(reader.path for _, those in read for reader in those))
    layers = layers_of(patient, Targets(", ".join(paths), paths), on.verb, read_alone=True)
    inputs = collect(patient, layers, on.data, samples=on.samples, seed=on.seed, grams=False, verb=on.verb)
    of = {place: (layer, inputs[layer.path]) for layer in layers for place in layer.places}
    found = []
    for count, those in read:
        squares = torch.zeros(count, dtype=torch.float64)
        seen = set()
        for reader in those:
            layer, given = of[reader.path]
            if layer.path not in seen:  # a tied weight has the inputs of all its places already
                seen.add(layer.path)
                each = given.squares.view(len(reader.units), -1).sum(1)  # of a kernel's places all
                squares += reader.by_unit(each, count) / given.tokens
        found.append(squares.sqrt())
    return found


def _slopes(patient: Patient, read: Sequence[Read], by: By, on: Shown) -> list[Tensor]:
    """E |g| or E g² over examples, g the slope of the loss along a gate on each unit."""
    from surgery.advise.case import Case  # which knows of operations
    from surgery.advise.loss import Loss

    heard, done = told(), 0
    total = [torch.zeros(count, dtype=torch.float64) for count, _ in read]
    sets = _examples(patient.root, on)
    every = sum(map(len, sets))
    for examples in sets:
        case = Case(
            patient.root,
            lambda examples=examples: examples,  # type: ignore[misc]
            inputs=patient.inputs,
            tokenizer=patient.tokenizer,
            device=str(device_of(patient.root)),
            budget_s=float("inf"),
        )
        case.check = heard.check
        loss = Loss(case)

        def slopes(batch: Batch, case: Case = case, loss: Loss = loss) -> list[Tensor]:
            with torch.enable_grad(), gated(case.model, read, len(batch)) as gates:
                sums = loss.each(batch).sum()
                found = torch.autograd.grad(sums, gates, allow_unused=True, materialize_grads=True)
            powers = [slope.abs() if by == "taylor" else slope.square() for slope in found]
            return [power.double().sum(0).cpu() for power in powers]

        for sums, batch in case.over(slopes, loss.room):
            done += len(batch)
            heard.progress(done / every, f"{done:,} of {every:,} examples")
            for known, more in zip(total, sums, strict=True):
                known += more
    return [sums / every for sums in total]


def _examples(model: nn.Module, on: Shown) -> list[Examples]:
    """The batches that are run, as examples with their labels: those of equal shapes together."""
    alike: dict[Any, list[dict[str, Tensor]]] = {}
    for batch in shown(on.data, on.samples, on.seed, on.verb):
        named = _named(model, batch.given)
        form = tuple((name, tensor.shape[1:], tensor.dtype) for name, tensor in named.items())
        alike.setdefault(form, []).append(named)
    found = []
    for batches in alike.values():
        whole = {name: torch.cat([batch[name].cpu() for batch in batches]) for name in batches[0]}
        labels = whole.pop(LABELS, None)
        found.append(tensors(whole, labels))
    return found


def _named(model: nn.Module, given: Any) -> dict[str, Tensor]:
    """The tensors of a batch by name; of tokens alone as the model calls them."""
    if isinstance(given, Mapping):
        return {name: value for name, value in given.items() if isinstance(value, Tensor)}
    those = [leaf for leaf in tree_leaves(given) if isinstance(leaf, Tensor)]
    if len(those) == 1 and first_argument(model) == IDS:
        return {IDS: those[0]}
    return {f"input {place}": tensor for place, tensor in enumerate(those)}
