"""A small decoder and models tuned from it, in folders, and what a merge of one tensor should give."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

import surgery
from surgery.quiet import quiet
from tests.zoo import ATLAS

STEP = 0.02
"""How far parents lie from the base, as the deviation of each weight."""


def base_model(name: str = "llama", dtype: torch.dtype = torch.float32) -> Any:
    """The model that all others were tuned from."""
    torch.manual_seed(0)
    model, _ = ATLAS[name]()
    return model.to(dtype)


def saved(model: Any, folder: Path) -> Path:
    """The model in a folder."""
    with quiet():
        model.save_pretrained(folder)
    return folder


def tuned(seed: int, name: str = "llama", dtype: torch.dtype = torch.float32) -> Any:
    """A model that lies near the base; some of its elements stayed as they were."""
    model = base_model(name, dtype)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            moved = torch.randn(parameter.shape, generator=generator) * STEP
            moved *= torch.rand(parameter.shape, generator=generator) < 0.7
            parameter.add_(moved.to(dtype))
    return model


def family(folder: Path, count: int, dtype: torch.dtype = torch.float32) -> tuple[Path, list[str]]:
    """The folder of the base, and those of models tuned from it."""
    parents = [str(saved(tuned(seed, dtype=dtype), folder / f"parent{seed}")) for seed in range(1, count + 1)]
    return saved(base_model(dtype=dtype), folder / "base"), parents


def tensors(folder: str | Path) -> dict[str, Tensor]:
    """The tensors of a folder by name."""
    return load_file(Path(folder) / "model.safetensors")


def merged(base: Path, verb: str, parents: list[str], targets: str = "", **fields: Any) -> dict[str, Tensor]:
    """The parameters after a merge of the folders, by name."""
    session = surgery.open(base)
    getattr(session, verb)(targets, parents=parents, **fields)
    return {name: parameter.detach() for name, parameter in session.model.named_parameters()}
