"""Fold adapters into the weights they adapt."""

from __future__ import annotations

from collections.abc import Iterator

from surgery.adapters.adapted import adapted, base_of
from surgery.adapters.lora import is_transposed
from surgery.edits import Edit, SetModule, SetTensor
from surgery.errors import SurgeryError
from surgery.fields import Targets, option
from surgery.lazy import recipe
from surgery.model import Patient
from surgery.operation import Operation, operation


@operation(title="Fold in", group="attach", source="LoRA: Hu et al. 2021, arXiv:2106.09685, section 4.1")
class Fold(Operation):
    """The adapters under the targets are part of the weights: W + (alpha / rank) · B A, no adapter left.

    Fields: `targets`: adapted modules or anything around them. The output agrees to rounding.
    Refused: a weight that is tied to another path, since both would change.
    """

    targets: Targets = option("**", help="adapted modules, or what contains them")

    def plan(self, patient: Patient) -> Iterator[Edit]:
        sites = patient.sites()
        for path, adapter in adapted(patient, self.targets):
            weight = patient.tensor(f"{path}.base.weight")
            places = sites[id(weight.parameter)]
            if len(places) > 1:
                raise SurgeryError(
                    "its weight is tied, and folding would change every path of the tie",
                    path=path,
                    got=" and ".join(places),
                    hint=f'`untie("{path}.base")` first, or detach',
                )
            folded = recipe(
                "fold_low_rank",
                weight,
                patient.tensor(f"{path}.lora_A"),
                patient.tensor(f"{path}.lora_B"),
                scale=adapter.scale,
                transposed=is_transposed(adapter.base),
            )
            yield SetModule(path, base_of)
            yield SetTensor(f"{path}.weight", folded)
