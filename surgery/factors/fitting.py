"""What cannot be taken apart into factors, whatever its kind: what others hold, read or put things on."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from surgery.adapters.lora import LoraLinear
from surgery.errors import SurgeryError
from surgery.model import Patient, refuse_reused
from surgery.unseen import refuse_unseen


def refuse_adapted(patient: Patient, path: str) -> None:
    """SurgeryError for an adapter, and for what is under one."""
    around = patient.module(path.rpartition(".")[0]) if path else None
    if isinstance(patient.module(path), LoraLinear) or isinstance(around, LoraLinear):
        raise SurgeryError("is under an adapter", path=path, hint="`fold` it in, or `detach` it, first")


def refuse_entangled(patient: Patient, path: str, verb: str) -> None:
    """SurgeryError for a module that does more than its class, that others read, or that is used twice."""
    module = patient.module(path)
    kind = type(module).__name__
    if not path:
        raise SurgeryError(
            f"the whole model is one {kind}, which nothing could hold in its place",
            hint="opening it inside an nn.Sequential",
        )
    for known in (nn.Linear, nn.Conv2d):
        if isinstance(module, known) and type(module).forward is not known.forward:
            raise SurgeryError(
                "computes in a way of its own, which factors would not do", path=path, got=kind
            )
    if "forward" in module.__dict__ or module._forward_hooks or module._forward_pre_hooks:
        raise SurgeryError(
            "has hooks, or a forward that was put on it, which factors would not have", path=path, got=kind
        )
    if patient.config_ties(f"{path}.weight"):
        raise SurgeryError(
            "its weight is tied by the model's config, which knows one tensor by this name",
            path=path,
            hint=f'`untie("{path}")` first',
        )
    refuse_unseen(patient, path, verb)
    refuse_reused(patient, path)


def refuse_tied_elsewhere(patient: Patient, paths: Sequence[str], unlike: Sequence[str] = ()) -> None:
    """SurgeryError if the weight of these modules is also that of others, or of those that are `unlike`."""
    weight = patient.tensor(f"{paths[0]}.weight")
    wanted = {f"{path}.weight" for path in paths}
    others = [place for place in patient.sites()[id(weight.parameter)] if place not in wanted]
    if others or unlike:
        raise SurgeryError(
            "its weight is tied to what is not factorised with it",
            path=paths[0],
            got=" and ".join([*others, *unlike]),
            hint=f'`untie("{paths[0]}")` first, or all of the tied among the targets',
        )
