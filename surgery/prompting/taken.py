"""What a model can be asked at all, told by its class, its example inputs and its data; nothing is run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from surgery.evaluate.data.vocabulary import vocabulary_size
from surgery.prompting.lettering import Lettering
from surgery.prompting.prompt import floating
from surgery.sources import Opened


@dataclass(frozen=True)
class Taken:
    """`takes`: text, token ids where there is no tokenizer, or images; `examples` of these that it came with.

    `writes`: whether it may go on writing. `fits` is False where it takes neither text nor images.
    """

    takes: Literal["text", "ids", "image"]
    examples: int
    writes: bool
    fits: bool


def taken(opened: Opened) -> Taken:
    """What this model takes; its held-out images are read to be counted."""
    example = floating(opened)[1]
    can_generate = getattr(opened.model, "can_generate", None)
    if Lettering(opened.model, opened.tokenizer).reads_text:
        return Taken("text", 0, can_generate is None or can_generate(), fits=True)
    if example is None or vocabulary_size(opened.model) is not None:
        return Taken("ids", 0, can_generate is None or can_generate(), fits=True)
    examples = len(opened.held_out()[0]) if opened.held_out is not None else 0
    fits = examples > 0 or example.dim() == 4
    return Taken("image", examples, can_generate is not None and can_generate(), fits)
