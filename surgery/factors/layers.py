"""Which linear layers can be factorised: those that compute x Wᵀ + b and nothing else, each weight once."""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

from surgery.adapters.lora import LoraLinear, is_transposed, weight_of, widths
from surgery.errors import SurgeryError
from surgery.factors.spreading import Sides
from surgery.fields import Targets
from surgery.lazy import Held
from surgery.model import Patient, refuse_reused
from surgery.modules.low_rank import LowRankLinear
from surgery.unseen import refuse_unseen


@dataclass(frozen=True, eq=False)
class Layer:
    """A weight and the linear modules that have it: several where it is tied, all of one orientation."""

    paths: tuple[str, ...]
    weight: Held
    transposed: bool
    sides: Sides

    @property
    def path(self) -> str:
        """The first of its modules, by which it is called."""
        return self.paths[0]


def layers(patient: Patient, targets: Targets) -> list[Layer]:
    """The layers of the targets in their order; SurgeryError for one that cannot be factorised."""
    found: dict[int, list[str]] = {}
    for path in targets.paths:
        _refuse_unfit(patient, path)
        found.setdefault(id(weight_of(patient.module(path))), []).append(path)
    return [_layer(patient, paths) for paths in found.values()]


def _layer(patient: Patient, paths: list[str]) -> Layer:
    first = patient.module(paths[0])
    weight = patient.tensor(f"{paths[0]}.weight")
    wanted = {f"{path}.weight" for path in paths}
    others = [place for place in patient.sites()[id(weight.parameter)] if place not in wanted]
    unlike = [path for path in paths if is_transposed(patient.module(path)) != is_transposed(first)]
    if others or unlike:
        raise SurgeryError(
            "its weight is tied to what is not factorised with it",
            path=paths[0],
            got=" and ".join([*others, *unlike]),
            hint=f'`untie("{paths[0]}")` first, or all of the tied among the targets',
        )
    inputs, outputs = widths(first)
    return Layer(tuple(paths), weight, is_transposed(first), Sides(outputs, inputs))


def _refuse_unfit(patient: Patient, path: str) -> None:
    module = patient.module(path)
    if isinstance(module, LowRankLinear):
        raise SurgeryError("is of low rank already", path=path, got=f"rank {module.rank}", hint="`undo`")
    if isinstance(module, LoraLinear) or isinstance(
        patient.module(path.rpartition(".")[0]) if path else None, LoraLinear
    ):
        raise SurgeryError("is under an adapter", path=path, hint="`fold` it in, or `detach` it, first")
    if not (isinstance(module, nn.Linear) or is_transposed(module)) or "weight" not in module._parameters:
        raise SurgeryError(
            "is no linear module"
            + (", and holds several matrices in one tensor" if _stacked(module) else ""),
            path=path or "(root)",
            got=type(module).__name__,
            expected="Linear or Conv1D",
            hint="`**:Linear`",
        )
    if not path:
        raise SurgeryError(
            "the whole model is one linear module, which nothing could hold in its place",
            hint="opening it inside an nn.Sequential",
        )
    if why := _more_than_linear(module):
        raise SurgeryError(f"{why}, which two thin ones would not do", path=path, got=type(module).__name__)
    if patient.config_ties(f"{path}.weight"):
        raise SurgeryError(
            "its weight is tied by the model's config, which knows one matrix by this name",
            path=path,
            hint=f'`untie("{path}")` first',
        )
    refuse_unseen(patient, path, "low_rank")
    refuse_reused(patient, path)


def _stacked(module: nn.Module) -> bool:
    """Whether a module has weights of three dimensions, as stacked experts do."""
    return any(item is not None and item.dim() == 3 for item in module._parameters.values())


def _more_than_linear(module: nn.Module) -> str | None:
    """What the module does besides x Wᵀ + b; None if nothing."""
    if isinstance(module, nn.Linear) and type(module).forward is not nn.Linear.forward:
        return "computes in a way of its own"
    if "forward" in module.__dict__ or module._forward_hooks or module._forward_pre_hooks:
        return "has hooks or a forward that was put on it"
    return None
