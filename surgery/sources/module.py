"""A module somebody holds already."""

from __future__ import annotations

from typing import Any

from torch import nn

from surgery.families import model_type
from surgery.sources import Opened
from surgery.sources.example_inputs import example_inputs


def from_module(model: nn.Module, inputs: Any = None, *, source: str | None = None) -> Opened:
    """A model given as an object; inputs are made for transformers decoders and asked for otherwise."""
    from surgery.checkpoint.structure import structure_of

    name = type(model).__name__
    if inputs is None and model_type(model) is not None:
        inputs = example_inputs(model)
    return Opened(model, name, source, inputs, None, structure_of(model))
