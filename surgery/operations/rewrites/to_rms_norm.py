"""LayerNorms become RMSNorms: the residual stream they read is centred by those who write it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from torch import nn

from surgery.charts import Chart
from surgery.edits import Edit, SetModule, SetTensor
from surgery.errors import SurgeryError
from surgery.fields import Targets, option
from surgery.lazy import Lazy, recipe
from surgery.model import Patient
from surgery.modules.norms import without_centring
from surgery.operation import operation
from surgery.rewriting.residual import is_layer_norm, stream_of
from surgery.rewriting.rewrite import Rewrite, gathered
from surgery.rewriting.spread import by_block


@operation(title="To RMSNorm", group="adjust", source="Jiang et al. 2023, arXiv:2305.14858")
class ToRmsNorm(Rewrite):
    """The LayerNorms are RMSNorms with the same ε, γ and β, and what writes their residual stream has mean 0.

    Fields: `targets`: LayerNorms before attention and MLP (pre-LN), or what contains them; a residual stream
    is rewritten whole, so all that read it are to be among them. With C = I − 11ᵀ/d every embedding, position
    table and class token of that stream becomes E C, every linear layer or convolution that writes it W ← C W
    and b ← C b. What the model computes in evaluation mode stays, which is proved in float64 before the step
    is kept; an RMSNorm has one reduction less to do. Found by following the graph back from each norm through
    sums, dropout, views and scalings. Tied writers are centred once. Refused: streams that are read by
    anything but LayerNorms or returned (post-LN models such as BERT), writers that are no embedding, linear
    layer or convolution, or are tied to what does not write the stream, such as a head; norms over several
    dimensions; models without example inputs.
    """

    targets: Targets = option("**", help="LayerNorms, or what contains them")

    def find(self, patient: Patient) -> Any:
        inside: set[str] = set()
        streams: dict[str, list[Any]] = {}

        def place(path: str) -> list[Any]:
            if path not in streams:
                stream = stream_of(patient, path, "to_rms_norm")
                outside = next((norm for norm in stream.norms if norm not in inside), None)
                if outside is not None:
                    raise SurgeryError(
                        "reads the same residual stream, and is not among the targets",
                        path=outside,
                        expected=f"it together with {path}",
                        hint='targets="**"',
                    )
                made = [sorted(stream.norms), [[name, dim] for name, dim in stream.writers.items()]]
                streams.update(dict.fromkeys(stream.norms, made))
            return streams[path]

        gathered(patient, self.targets, is_layer_norm, "LayerNorm over the last dimension", inside.add)
        found = gathered(patient, self.targets, is_layer_norm, "LayerNorm over the last dimension", place)
        return [item for number, item in enumerate(found) if item not in found[:number]]

    def chart(self, patient: Patient, data: Sequence[Any]) -> Chart:
        """What part of each writer is the mean that the norms take away, and that goes."""
        parts = {}
        for _, writers in self.places():
            for path, dim in writers:
                weight = patient.tensor(path).parameter.detach().double()
                if weight.dim() > 1:
                    gone = weight.mean(dim).square().sum() * weight.shape[dim]
                    parts[path] = 100 * float(gone / weight.square().sum().clamp(min=1e-300))
        return by_block("Part of each writer of the residual stream that norms take away", parts, "%")

    def plan(self, patient: Patient) -> Iterator[Edit]:
        centred: dict[int, Lazy] = {}
        for norms, writers in self.places():
            for path, dim in writers:
                held = patient.tensor(path)
                if id(held.parameter) not in centred:
                    name = "centred_columns" if dim == 0 else "centred_rows"
                    centred[id(held.parameter)] = recipe(name, held)
                yield SetTensor(path, centred[id(held.parameter)])
            for path in norms:
                yield SetModule(path, _without)


def _without(norm: nn.Module) -> nn.Module:
    assert isinstance(norm, nn.LayerNorm)
    return without_centring(norm)
