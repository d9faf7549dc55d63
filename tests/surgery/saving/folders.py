"""A small model for the tests of writing folders, and what a folder holds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from torch import nn


def module() -> nn.Module:
    """A small module, the same each time."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))


def content(folder: Path) -> dict[str, Any]:
    """Every file of a folder; of weights the header as data, since the order in it is any."""
    return {file.name: parts(file.read_bytes(), file.suffix) for file in folder.iterdir()}


def parts(data: bytes, suffix: str) -> Any:
    """A safetensors file as header and tensors, other files as they are."""
    if suffix != ".safetensors":
        return data
    end = 8 + int.from_bytes(data[:8], "little")
    return json.loads(data[8:end]), data[end:]
