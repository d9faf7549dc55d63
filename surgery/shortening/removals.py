"""What a model gives without some of its blocks, beside what it gives with them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from surgery.calibration.batches import Shown, run
from surgery.calibration.telling import told
from surgery.devices import device_of
from surgery.errors import SurgeryError
from surgery.evaluate.bench import random_state_kept
from surgery.evaluate.data.examples import IDS
from surgery.evaluate.pooling import first_tensor
from surgery.fields import Targets
from surgery.journal import Journal
from surgery.model import Patient, private_shell
from surgery.operation import Operation
from surgery.precision import wide
from surgery.registry import operation_named
from surgery.stopping import checked


@dataclass(frozen=True, eq=False)
class Removals:
    """Measures models without some of `blocks` on batches; what it finds of a choice is kept."""

    patient: Patient
    blocks: Sequence[str]
    batches: Sequence[Shown]
    verb: str

    def distortion(self, gone: Sequence[int]) -> float:
        """E‖f − f′‖² / E‖f‖² over the outputs at real tokens, f without and f′ with the blocks taken out."""
        total = energy = 0.0
        for whole, cut, batch in zip(self._whole, self._outputs(gone), self.batches, strict=True):
            if whole.shape != cut.shape:
                raise SurgeryError(
                    "without some blocks the outputs have another shape",
                    path=self.blocks[gone[0]],
                    got=list(cut.shape),
                    expected=list(whole.shape),
                )
            real = batch.real("", whole.shape)
            ours, theirs = (wide(item).reshape(-1, item.shape[-1]) for item in (whole, cut))
            if real is not None:
                ours, theirs = ours[real], theirs[real]
            total += float((ours - theirs).square().sum())
            energy += float(ours.square().sum())
        return total / max(energy, torch.finfo(torch.float64).tiny)

    def loss(self, gone: Sequence[int]) -> float:
        """The mean cross-entropy in nats of the next token without the blocks at these places."""
        nats = tokens = 0.0
        for logits, batch in zip(self._outputs(gone), self.batches, strict=True):
            ids = batch.given[IDS].to(logits.device)
            real = batch.real("", logits.shape)
            counted = torch.ones_like(ids, dtype=torch.bool) if real is None else real.view(ids.shape)
            counted = counted.to(logits.device)
            pairs = counted[:, 1:] & counted[:, :-1]
            found = F.cross_entropy(wide(logits[:, :-1][pairs]), ids[:, 1:][pairs], reduction="sum")
            nats, tokens = nats + float(found), tokens + float(pairs.sum())
        return nats / max(1.0, tokens)

    @cached_property
    def predicts_text(self) -> bool:
        """Whether the model gives logits of the next token for the ids it is shown."""
        ids = [batch.given.get(IDS) if isinstance(batch.given, dict) else None for batch in self.batches]
        can = getattr(self.patient.root, "can_generate", None)
        config: Any = getattr(self.patient.root, "config", None)
        if can is None or not can() or getattr(config, "is_encoder_decoder", False):
            return False
        pairs = zip(ids, self._whole, strict=True)
        return all(item is not None and out.dim() == 3 and out.shape[:2] == item.shape for item, out in pairs)

    @cached_property
    def _whole(self) -> list[Tensor]:
        return self._outputs(())

    def _outputs(self, gone: Sequence[int]) -> list[Tensor]:
        """What the model gives for each batch, on the CPU where it is kept for longer."""
        heard = told()
        model = self._without(gone)
        device, found = device_of(model), []
        with torch.no_grad(), random_state_kept(device), checked(model, heard.check):
            for batch in self.batches:
                heard.check()
                found.append(_answer(run(model, batch, device, self.verb), self.verb).cpu())
        return found

    def _without(self, gone: Sequence[int]) -> nn.Module:
        model = private_shell(self.patient.root).eval()
        if gone:
            from surgery.runs import Live, carry_out

            step = removal([self.blocks[place] for place in sorted(gone)])
            carry_out(step, model, Journal(), Live(), self.patient.inputs, self.patient.tokenizer)
        return model


def removal(paths: Sequence[str]) -> Operation:
    """The step that takes these blocks out."""
    return operation_named("remove").of(Targets(", ".join(paths)))


def _answer(output: Any, verb: str) -> Tensor:
    logits = getattr(output, "logits", None)
    found = logits if isinstance(logits, Tensor) else first_tensor(output)
    if found is None or not found.is_floating_point():
        raise SurgeryError(
            f"{verb} compares outputs, and this model gives no floating tensor", got=type(output).__name__
        )
    return found.detach()
