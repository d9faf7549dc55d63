"""Put the weights of norms into the linear layers that read them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Literal

from torch import nn

from surgery.adapters.lora import is_transposed
from surgery.charts import Chart
from surgery.edits import Edit, SetModule, SetTensor
from surgery.errors import SurgeryError
from surgery.fields import Targets, option
from surgery.lazy import recipe
from surgery.model import Patient
from surgery.operation import operation
from surgery.rewriting.absorbing import readers_of
from surgery.rewriting.norms import is_norm, norm_of
from surgery.rewriting.rewrite import Rewrite, gathered
from surgery.rewriting.spread import by_block, spread
from surgery.unseen import reads_weights_directly


@operation(title="Absorb norms", group="adjust", source="Ashkboos et al. 2024, arXiv:2401.15024, section 3.2")
class AbsorbNorm(Rewrite):
    """The norms scale and shift nothing: every linear layer that reads one has its weight and bias instead.

    Fields: `targets`: LayerNorms and RMSNorms, of whatever class, or what contains them; `affine`: whether
    the norm keeps weights of one and biases of zero (so that transformers loads the result as it is), or has
    `none` any more (for torch's own LayerNorm and RMSNorm). With γ and β of (inputs,), W of outputs × inputs:
    W ← W diag(γ) and b ← b + Wβ in every reader; a bias is made where there is none and the norm has one.
    Norms that multiply by 1 + γ, such as Gemma's, are found by what they compute, and are left with zeros.
    What the model computes stays, which is proved in float64 before the step is kept. Of a container those
    norms are absorbed that can be. Refused: a norm that is named and is read by anything else than linear
    layers, such as a residual addition, a mixture's router, an adapter or the model's result; readers that
    also read something else; weights that are tied, such as a head that is the embedding; models without
    example inputs.
    """

    targets: Targets = option("**", help="norms, or what contains them")
    affine: Literal["ones", "none"] = option(
        "ones", help="what is left in the norm: ones and zeros, or nothing"
    )

    def find(self, patient: Patient) -> Any:
        def place(path: str) -> list[Any]:
            readers = readers_of(patient, path, "absorb_norm")
            self._refuse_kept(patient, path)
            return [path, readers]

        return gathered(patient, self.targets, is_norm, "norm over the last dimension with a weight", place)

    def chart(self, patient: Patient, data: Sequence[Any]) -> Chart:
        """How unevenly each norm scales the inputs of its readers: coarse numbers suffer from that."""
        spreads = {}
        for path, _ in self.places():
            kind, weight = norm_of(patient.module(path)), patient.tensor(f"{path}.weight").parameter
            spreads[path] = spread(weight.detach() + (kind.offset if kind else 0))
        return by_block("Largest scale of a norm over its median one", spreads, "×")

    def plan(self, patient: Patient) -> Iterator[Edit]:
        for path, readers in self.places():
            norm, gain = patient.module(path), patient.tensor(f"{path}.weight")
            kind = norm_of(norm)
            if kind is None:
                raise SurgeryError("is no norm over the last dimension", path=path, got=type(norm).__name__)
            has_bias = norm._parameters.get("bias") is not None
            for reader in readers:
                layer, weight = patient.module(reader), patient.tensor(f"{reader}.weight")
                transposed = is_transposed(layer)
                if has_bias:
                    shift = patient.tensor(f"{path}.bias")
                    biased = layer._parameters.get("bias") is not None
                    bias = [patient.tensor(f"{reader}.bias")] if biased else []
                    shifted = recipe(
                        "shifted_bias",
                        weight,
                        shift,
                        *bias,
                        shape=(weight.shape[1 if transposed else 0],),
                        transposed=transposed,
                    )
                    yield SetTensor(f"{reader}.bias", shifted, weight.parameter.requires_grad)
                scaled = "rows_scaled" if transposed else "columns_scaled"
                made = recipe(
                    scaled, gain, weight, shape=weight.shape, dtype=weight.dtype, offset=kind.offset
                )
                yield SetTensor(f"{reader}.weight", made)
            if self.affine == "none":
                yield SetModule(path, _bare)
                continue
            start = "ones" if kind.offset == 0 else "zeros"
            yield SetTensor(f"{path}.weight", recipe(start, shape=gain.shape, dtype=gain.dtype))
            if has_bias:
                shape, dtype = shift.shape, shift.dtype
                yield SetTensor(f"{path}.bias", recipe("zeros", shape=shape, dtype=dtype))

    def _refuse_kept(self, patient: Patient, path: str) -> None:
        norm = patient.module(path)
        if self.affine != "none":
            return
        if type(norm) not in (nn.LayerNorm, nn.RMSNorm):
            raise SurgeryError(
                "cannot be without a weight",
                path=path,
                got=type(norm).__name__,
                expected="LayerNorm or RMSNorm of torch",
                hint='`affine="ones"`',
            )
        if around := reads_weights_directly(patient, path):
            raise SurgeryError(
                f"cannot be without a weight, since {around} reads it without calling the norm",
                path=path,
                hint='`affine="ones"`',
            )


def _bare(norm: nn.Module) -> nn.Module:
    """The norm without weight and bias."""
    assert isinstance(norm, nn.LayerNorm | nn.RMSNorm)
    made = type(norm)(norm.normalized_shape, eps=norm.eps, elementwise_affine=False)  # type: ignore[arg-type]
    return made.train(norm.training)
