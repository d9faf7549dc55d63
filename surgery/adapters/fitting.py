"""Where an adapter may go."""

from __future__ import annotations

from collections.abc import Sequence

from surgery.adapters.lora import LoraLinear, is_linear
from surgery.errors import SurgeryError
from surgery.model import Patient, refuse_reused
from surgery.unseen import reads_weights_directly


def free(patient: Patient, paths: Sequence[str]) -> list[str]:
    """Those of the paths that carry no adapter and are in none."""
    return [
        path
        for path in paths
        if not isinstance(patient.module(path), LoraLinear)
        and not isinstance(patient.module(path.rpartition(".")[0]), LoraLinear)
    ]


def refuse_unfit(patient: Patient, path: str) -> None:
    """SurgeryError for a module that is not linear, is used twice, or whose weight others read or know."""
    module = patient.module(path)
    kind = type(module).__name__
    if not is_linear(module):
        raise SurgeryError(
            "is no linear module", path=path, got=kind, expected="Linear or Conv1D", hint="`**:Linear`"
        )
    if not path:
        raise SurgeryError(
            "the whole model is one linear module, which nothing could hold in its place",
            hint="opening it inside an nn.Sequential",
        )
    if patient.config_ties(f"{path}.weight"):
        raise SurgeryError(
            "its weight is tied by the model's config, which knows it by the name it has without adapter",
            path=path,
            hint=f'`untie("{path}")` first',
        )
    if around := reads_weights_directly(patient, path):
        raise SurgeryError(
            f"{around} reads this weight on its fast path without calling the module, "
            "so an adapter here would have no effect",
            path=path,
        )
    refuse_reused(patient, path)
