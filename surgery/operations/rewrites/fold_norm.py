"""Fold batch norms into the layers before them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from torch import nn

from surgery.charts import Chart
from surgery.edits import Edit, SetModule, SetTensor
from surgery.fields import Targets, option
from surgery.model import Patient
from surgery.operation import operation
from surgery.rewriting.folding import Fold, fold_at, is_batch_norm
from surgery.rewriting.rewrite import Rewrite, gathered
from surgery.rewriting.spread import by_block, spread


@operation(title="Fold norms", group="adjust", source="Jacob et al. 2018, arXiv:1712.05877, section 3.2")
class FoldNorm(Rewrite):
    """The batch norms are gone, and the layers before them have what they did in their weights.

    Fields: `targets`: batch norms with running statistics, or what contains them. With s = γ / √(σ² + ε) per
    output (channels,) the convolution or linear layer before the norm has W ← s W and b ← (b − μ) s + β; a
    bias is made where there is none. In the norm's place is an identity, so paths stay. What the model
    computes in evaluation mode stays, which is proved in float64 before the step is kept; in training mode
    it no longer normalises by the batch. Of a container those norms go that can. Refused: a norm that is
    named and cannot go, because it follows no such layer (one before a convolution that pads with zeros
    cannot go into that exactly), because what the layer gives is read by others too, because a weight is tied
    or its module called again elsewhere, because it keeps no running statistics or is in training mode; a
    target in which none can; models without example inputs.
    """

    targets: Targets = option("**", help="batch norms, or what contains them")

    def find(self, patient: Patient) -> Any:
        def places(path: str) -> list[str]:
            fold = fold_at(patient, path, "fold_norm")
            return [fold.norm, fold.layer]

        return gathered(patient, self.targets, is_batch_norm, "batch norm", places)

    def chart(self, patient: Patient, data: Sequence[Any]) -> Chart:
        """How unevenly each norm scales the channels of its layer: coarse numbers suffer from that."""
        spreads = {}
        for norm, _ in self.places():
            module: Any = patient.module(norm)
            gain = 1.0 if module.weight is None else module.weight.detach()
            spreads[norm] = spread(gain / (module.running_var + module.eps).sqrt())
        return by_block("Largest scale of a channel over the median one", spreads, "×")

    def plan(self, patient: Patient) -> Iterator[Edit]:
        for norm, layer in self.places():
            fold = Fold(norm, layer)
            weight, bias = fold.weight(patient), fold.bias(patient)
            trainable = patient.tensor(f"{layer}.weight").parameter.requires_grad
            yield SetTensor(f"{layer}.weight", weight)
            yield SetTensor(f"{layer}.bias", bias, trainable)
            yield SetModule(norm, _identity())


def _identity() -> Callable[[nn.Module], nn.Module]:
    return lambda there: nn.Identity().train(there.training)
