"""Example inputs for a trace, made from a transformers config.

Which inputs: those the class calls its main ones, those its forward cannot do without, and one for each
modality it takes. What each looks like: a table by the name of the parameter.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import nn

from surgery.sources.example_inputs.audio import AUDIO
from surgery.sources.example_inputs.image import IMAGE
from surgery.sources.example_inputs.image_tokens import image_and_text, takes_images
from surgery.sources.example_inputs.series import SERIES
from surgery.sources.example_inputs.text import LENGTH, TEXT, placeholders
from surgery.sources.forward import Forward
from surgery.sources.notes import in_one_line, no_inputs, text_alone

__all__ = ["LENGTH", "Example", "example_inputs"]

_TABLE: dict[str, Callable[[Forward], Any]] = {**TEXT, **IMAGE, **AUDIO, **SERIES}
_OF_MODALITY = {
    "text": ("input_ids",),
    "image": ("pixel_values",),
    "audio": ("input_features", "input_values"),
    "video": ("pixel_values_videos",),
}


@dataclass(frozen=True)
class Example:
    """Keyword arguments for a forward, None where they cannot be made, and what is to be said of them."""

    inputs: dict[str, Any] | None
    note: str | None = None


def example_inputs(model: nn.Module) -> Example:
    """Example inputs for a transformers model: one row, at most LENGTH positions of text, no cache."""
    forward = Forward.of(model)
    try:
        example = _image_and_text(forward) if takes_images(forward) else _by_name(forward)
    except Exception as error:  # a config may hold anything
        return Example(None, no_inputs(model, f"its config is not as expected ({in_one_line(error)})"))
    if example.inputs is not None and hasattr(forward.config, "use_cache"):
        example.inputs["use_cache"] = False
    return example


def _image_and_text(forward: Forward) -> Example:
    made = image_and_text(forward)
    return Example(dict(made)) if made is not None else _by_name(forward)


def _by_name(forward: Forward) -> Example:
    names, left = wanted(forward)
    made = {name: _TABLE[name](forward) if name in _TABLE else None for name in names}
    missing = [name for name, value in made.items() if value is None]
    if missing or not made:
        because = f"the config does not say what {', '.join(missing) or 'the forward takes'} looks like"
        return Example(None, no_inputs(forward.model, because))
    return Example(made, text_alone(forward.model, left) if left else None)


def wanted(forward: Forward) -> tuple[list[str], list[str]]:
    """The parameters an example gives a value, and those of other modalities that it leaves out.

    A language model that can be shown or told something has a token for every piece of it, and how many
    these are is not in its config: it is given text alone.
    """
    of_modalities = []
    for modality in forward.modalities:
        known = [name for name in _OF_MODALITY.get(modality, ()) if name in forward.parameters]
        of_modalities += known[:1]
    main = [name for name in forward.main if name in forward.parameters]
    left: list[str] = []
    if "input_ids" in forward.parameters and placeholders(forward):
        left = [name for name in of_modalities if name != "input_ids" and name not in forward.required]
        main = of_modalities = ["input_ids"]
    names = [*main, *of_modalities, *forward.required]
    if getattr(forward.config, "is_encoder_decoder", False) and "decoder_input_ids" in forward.parameters:
        names.append("decoder_input_ids")
    return list(dict.fromkeys(names)), left
