"""A module somebody holds already, and the inputs that can be made for it."""

from __future__ import annotations

from typing import Any

from torch import nn

from graph.tree import unwrapped
from surgery.families import model_type
from surgery.model import private_shell
from surgery.runs import on_meta
from surgery.sources.example_inputs import example_inputs
from surgery.sources.example_inputs.image_models import image_inputs, is_image_model
from surgery.sources.notes import joined, no_inputs
from surgery.sources.opened import Opened


def from_module(
    model: nn.Module,
    inputs: Any = None,
    *,
    source: str | None = None,
    name: str | None = None,
    skeleton: bool = False,
    note: str | None = None,
) -> Opened:
    """A model given as an object, or with `skeleton` a copy of its structure with parameters on meta.

    Inputs are made where the model says what it takes. `note`: what to say beside that.
    """
    from surgery.checkpoint.structure import structure_of

    model = unwrapped(model)
    structure = structure_of(model)
    if skeleton:
        model = private_shell(model, parameter=on_meta)
    inputs, guessed, told = with_inputs(model, inputs)
    return Opened(
        model, name or type(model).__name__, source, inputs, None, structure, joined(note, told), guessed
    )


def with_inputs(model: nn.Module, inputs: Any) -> tuple[Any, bool, str | None]:
    """Example inputs for `model`, whether they were made here, and what is to be said of them."""
    if inputs is not None:
        return inputs, False, None
    model = unwrapped(model)
    if model_type(model) is not None:
        example = example_inputs(model)
        return example.inputs, example.inputs is not None, example.note
    if is_image_model(model):
        return image_inputs(model), True, None
    because = f"{type(model).__name__} does not say what it takes, as models of transformers and timm do"
    return None, False, no_inputs(model, because)
