"""LoRA and rsLoRA on linear modules, convolutions and embeddings."""

from __future__ import annotations

from torch import nn

from surgery.adapters.adapter import Adapter, root_of
from surgery.adapters.kinds.kind import Kind, Settings
from surgery.adapters.lora import LoraLinear, is_linear
from surgery.adapters.lora_layers import LoraConv, LoraEmbedding
from surgery.model import Patient


def misfit(module: nn.Module) -> str | None:
    """Why a module has no weight that a low-rank product can be added to; None where it has."""
    if is_linear(module):
        return None
    if isinstance(module, nn.Conv1d | nn.Conv2d) and "weight" in module._parameters:
        return None if module.groups == 1 else "keeps its groups apart, which one low-rank addition would mix"
    if isinstance(module, nn.Embedding) and "weight" in module._parameters:
        plain = type(module).forward is nn.Embedding.forward and module.max_norm is None
        return None if plain else "does more with its rows than looking them up"
    return "is no linear module, convolution or embedding"


def _made(stabilised: bool, base: nn.Module, settings: Settings) -> Adapter:
    root = root_of(base)
    rank, alpha = settings.rank, settings.scaled
    if isinstance(root, nn.Embedding):
        return LoraEmbedding(base, rank, alpha, stabilised)
    if isinstance(root, nn.Conv1d | nn.Conv2d):
        return LoraConv(base, rank, alpha, stabilised)
    return LoraLinear(base, rank, alpha, stabilised)


def _plain(patient: Patient, path: str, settings: Settings) -> Adapter:
    return _made(False, patient.module(path), settings)


def _stabilised(patient: Patient, path: str, settings: Settings) -> Adapter:
    return _made(True, patient.module(path), settings)


_SUITS = "Linear, Conv1D, Conv1d, Conv2d without groups, or Embedding"

LORA = Kind(
    name="lora",
    title="LoRA",
    source="Hu et al. 2021, arXiv:2106.09685",
    fields=("rank", "alpha", "seed"),
    parameters="r*(d*k + o)",
    exact=True,
    suits=_SUITS,
    misfit=misfit,
    make=_plain,
)

RSLORA = Kind(
    name="rslora",
    title="rsLoRA",
    source="Kalajdzievski 2023, arXiv:2312.03732",
    fields=("rank", "alpha", "seed"),
    parameters="r*(d*k + o)",
    exact=True,
    suits=_SUITS,
    misfit=misfit,
    make=_stabilised,
)
