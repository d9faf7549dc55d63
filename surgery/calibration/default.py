"""What a measure runs on when the user gave no data: never what the model is evaluated on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, overload

from torch import Tensor

from surgery.calibration.batches import LABELS

if TYPE_CHECKING:
    from surgery.sources import Opened

WINDOWS = 8
"""Windows of text in a batch."""


@dataclass(frozen=True)
class ManualText(Sequence[Mapping[str, Tensor]]):
    """Python's own manual in batches of 8 windows, without what is held out for evaluations.

    Topics that repeat a paragraph of those are left out too. In tokens of `tokenizer`, or UTF-8 bytes. It is
    cut into windows when it is first looked at; the order of the windows is drawn once, so that a batch has
    several topics.
    """

    tokenizer: Any
    window: int

    @cached_property
    def batches(self) -> tuple[Mapping[str, Tensor], ...]:
        """`input_ids` (windows, tokens) int64, and `attention_mask` where there is padding."""
        from surgery.demo.text import apart
        from surgery.evaluate.data.windows import text_windows, windows_of

        texts, name = apart(), "Python's manual"
        if self.tokenizer is not None:
            found = text_windows(texts, self.tokenizer, name=name, own=False, window=self.window)
        else:
            documents = [list(text.encode()) for text in texts]
            found = windows_of(documents, name=name, own=False, window=self.window)
        starts = range(0, len(found), WINDOWS)
        return tuple(dict(found.batch(start, start + WINDOWS).inputs) for start in starts)

    def __len__(self) -> int:
        return len(self.batches)

    @overload
    def __getitem__(self, place: int) -> Mapping[str, Tensor]: ...
    @overload
    def __getitem__(self, place: slice) -> Sequence[Mapping[str, Tensor]]: ...
    def __getitem__(self, place: int | slice) -> Any:
        return self.batches[place]

    def __getstate__(self) -> dict[str, Any]:
        return {"tokenizer": self.tokenizer, "window": self.window}


def default_data(opened: Opened) -> Sequence[Any]:
    """Batches that belong to the model, text for one that reads text, else none.

    Text needs a tokenizer, or a vocabulary of the 256 bytes: of random tokens nothing could be learned about
    inputs. What a model with an encoder is to write, nobody knows.
    """
    if opened.data is not None:
        return opened.data()
    from surgery.evaluate.data.vocabulary import vocabulary_size
    from surgery.evaluate.data.windows import WINDOW, window_for

    model, inputs = opened.model, opened.inputs
    items = inputs.items() if isinstance(inputs, Mapping) else ()
    named = {name for name, value in items if isinstance(value, Tensor)}
    alone = named <= {"input_ids", "attention_mask", "token_type_ids"} and "input_ids" in named
    vocabulary = vocabulary_size(model)
    if not alone or vocabulary is None or getattr(model.config, "is_encoder_decoder", False):
        return ()
    if opened.tokenizer is None and vocabulary != 256:
        return ()
    return ManualText(opened.tokenizer, window_for(model, WINDOW))


def digits_for(name: str) -> Sequence[dict[str, Tensor]]:
    """The digits to train on, in batches, as an input called `name`, and their labels."""
    from surgery.demo.digits import training_batches

    return [{name: images, LABELS: labels} for images, labels in training_batches()]
