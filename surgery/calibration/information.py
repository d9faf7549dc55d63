"""The diagonal of the Fisher information: how much what a model answers hangs on each of its weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves, tree_map_only

from surgery.calibration.batches import Shown, run, shown
from surgery.calibration.telling import told
from surgery.devices import device_of
from surgery.errors import SurgeryError
from surgery.evaluate.data.examples import MASK
from surgery.model import Patient, private_shell


def information(
    patient: Patient, paths: Sequence[str], data: Sequence[Any], *, samples: int, seed: int, verb: str
) -> dict[str, Tensor]:
    """E[(∂ log p(y|x) / ∂θ)²] of the parameters at `paths`, float32, over at most `samples` examples x.

    y is drawn from what the model answers, with `seed`: a class, or a token at each position that is no
    padding. Gradients are those of one example at a time. One that no answer hangs on is all zeros. Raises
    SurgeryError for no data, for a model without logits, for gradients that are not numbers, and Stopped.
    """
    heard, batches = told(), shown(data, samples, seed, verb)
    shell = private_shell(patient.root).eval()
    shell.requires_grad_(False)
    held = {path: shell.get_parameter(path).requires_grad_(True) for path in paths}
    sums = {path: torch.zeros_like(parameter, dtype=torch.float32) for path, parameter in held.items()}
    generator, device = torch.Generator().manual_seed(seed), device_of(shell)
    examples = [example for batch in batches for example in _one_by_one(batch)]
    for number, example in enumerate(examples):
        heard.check()
        with torch.enable_grad():
            likelihood = _likelihood(run(shell, example, device, verb), example, generator, verb)
            found = torch.autograd.grad(likelihood, list(held.values()), allow_unused=True)
        for path, gradient in zip(held, found, strict=True):
            if gradient is not None:
                sums[path] += gradient.float().square()
        heard.progress((number + 1) / len(examples), f"{number + 1:,} of {len(examples):,} examples")
    for path, total in sums.items():
        if not bool(torch.isfinite(total).all()):
            raise SurgeryError("the gradients on these data are not numbers", path=path)
    return {path: total / len(examples) for path, total in sums.items()}


def _one_by_one(batch: Shown) -> list[Shown]:
    """Each example by itself; what is not examples side by side stays as it is."""
    tensors = [leaf for leaf in tree_leaves(batch.given) if isinstance(leaf, Tensor)]
    if batch.examples == 1 or any(not leaf.dim() or len(leaf) != batch.examples for leaf in tensors):
        return [batch]

    def row(place: int) -> Shown:
        return Shown(tree_map_only(Tensor, lambda tensor: tensor[place : place + 1], batch.given), 1)

    return [row(place) for place in range(batch.examples)]


def _likelihood(output: Any, example: Shown, generator: torch.Generator, verb: str) -> Tensor:
    """Log p(y|x) of labels drawn from the logits, summed over positions."""
    logits = output.get("logits") if isinstance(output, Mapping) else output
    logits = logits[0] if isinstance(logits, tuple | list) else logits
    if not isinstance(logits, Tensor) or logits.dim() < 2 or not logits.requires_grad:
        raise SurgeryError(f"{verb} needs a model that gives logits", got=type(output).__name__)
    scores = nn.functional.log_softmax(logits.float(), -1).flatten(0, -2)
    mask = example.given.get(MASK) if isinstance(example.given, Mapping) else None
    if isinstance(mask, Tensor) and mask.numel() == len(scores):
        scores = scores[mask.bool().flatten().to(scores.device)]
    drawn = torch.multinomial(scores.detach().exp().cpu(), 1, generator=generator)
    return scores.gather(1, drawn.to(scores.device)).sum()
