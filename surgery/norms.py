"""Norm layers, which every family of models writes its own way."""

from __future__ import annotations

from torch import nn

from surgery.model import Patient


def is_norm(module: nn.Module) -> bool:
    """Whether this is a norm layer itself, no module that holds one: its class says so in its name."""
    return "norm" in type(module).__name__.lower() and not module._modules


def in_norm(patient: Patient, path: str) -> bool:
    """Whether the parameter at `path` belongs to a norm layer."""
    return is_norm(patient.module(path.rpartition(".")[0]))
