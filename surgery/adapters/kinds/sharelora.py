"""ShareLoRA: A, B or both are one tensor for all modules of the same role and widths."""

from __future__ import annotations

from collections.abc import Hashable, Mapping

from torch import nn

from surgery.adapters.adapter import Adapter
from surgery.adapters.kinds.kind import Kind, Settings, Share
from surgery.adapters.lora import LoraLinear, is_linear
from surgery.model import Patient

_SHARED = {"a": ("lora_A",), "b": ("lora_B",), "both": ("lora_A", "lora_B")}


class ShareLoraLinear(LoraLinear):
    """A `LoraLinear` of which A, B or both (`share`) are tied to those of others of its role and widths."""

    kind = "sharelora"
    share: Share

    def __init__(self, base: nn.Module, rank: int, alpha: float, share: Share) -> None:
        super().__init__(base, rank, alpha)
        self.__dict__["share"] = share

    def shares(self, role: str) -> Mapping[str, Hashable]:
        return dict.fromkeys(_SHARED[self.share], role)


def _misfit(module: nn.Module) -> str | None:
    return None if is_linear(module) else "is no linear module"


def _made(patient: Patient, path: str, settings: Settings) -> Adapter:
    return ShareLoraLinear(patient.module(path), settings.rank, settings.scaled, settings.share)


SHARELORA = Kind(
    name="sharelora",
    title="ShareLoRA",
    source="Song et al. 2024, arXiv:2406.10785",
    fields=("rank", "alpha", "share", "seed"),
    parameters="r*(d + o), what is shared once per role",
    exact=True,
    suits="Linear or Conv1D",
    misfit=_misfit,
    make=_made,
)
