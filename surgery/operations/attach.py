"""Attach adapters."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from surgery.adapters.fitting import free, refuse_unfit
from surgery.adapters.lora import LoraLinear, weight_of, widths
from surgery.edits import Edit, SetModule, SetTensor
from surgery.errors import SurgeryError
from surgery.fields import Targets, option
from surgery.lazy import recipe
from surgery.model import Patient
from surgery.operation import Operation, operation


@operation(title="Attach", group="attach", source="LoRA: Hu et al. 2021, arXiv:2106.09685")
class Attach(Operation):
    """Each target carries an adapter that adds nothing yet: the output is bit-equal at first.

    Fields: `targets`: linear modules (torch's Linear, GPT-2's Conv1D); `adapter`: its kind; `rank` r;
    `alpha`: the addition is (alpha / rank) · B A x, by default alpha = 2 r; `seed` of A, uniform in
    ±1/√inputs (Kaiming); B is zero. Adds r · (inputs + outputs) parameters per target. Refused: modules
    that are not linear, all adapted already, reused at several paths, or whose weight torch's fast path reads
    without calling them.
    """

    targets: Targets = option(help="the linear modules that get an adapter")
    adapter: Literal["lora"] = option("lora", help="kind of adapter")
    rank: int = option(8, help="rank of the addition", minimum=1, maximum=65536)
    alpha: float | None = option(None, help="scale × rank; twice the rank if not given", minimum=0.0)
    seed: int = option(0, help="seed of the random half", minimum=0)

    def plan(self, patient: Patient) -> Iterator[Edit]:
        for path in _outside_adapters(patient, self.targets):
            module = patient.module(path)
            refuse_unfit(patient, path)
            rank, alpha = self.rank, self.alpha if self.alpha is not None else 2.0 * self.rank
            inputs, outputs = widths(module)
            yield SetModule(path, lambda base, rank=rank, alpha=alpha: LoraLinear(base, rank, alpha))  # type: ignore[misc]
            bound, dtype = inputs**-0.5, weight_of(module).dtype
            name, shape_a, shape_b = f"{path}.lora_A", (rank, inputs), (outputs, rank)
            yield SetTensor(
                name,
                recipe(
                    "uniform", shape=shape_a, dtype=dtype, low=-bound, high=bound, seed=self.seed, path=name
                ),
            )
            yield SetTensor(f"{path}.lora_B", recipe("zeros", shape=shape_b, dtype=dtype))


def _outside_adapters(patient: Patient, targets: Targets) -> list[str]:
    """The targets that carry no adapter yet; refused if all of them do."""
    found = free(patient, targets.paths)
    if not found:
        raise SurgeryError(
            "carries an adapter already", path=targets.select, hint="detach it, or fold it in, first"
        )
    return found
