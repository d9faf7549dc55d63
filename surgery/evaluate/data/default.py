"""What a model is evaluated on when the user gave no data; its name says so."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from surgery.demo.text import topics
from surgery.errors import SurgeryError
from surgery.evaluate.data.examples import IDS, Examples
from surgery.evaluate.data.vocabulary import vocabulary_size
from surgery.evaluate.data.windows import WINDOW, text_windows, window_for, windows_of

RANDOM_WINDOWS, RANDOM_IMAGES = 128, 64
DEMO_NAME = "Python's manual, held out"
DIGITS_NAME = "scikit-learn's digits, held out"
_SHOWS = "shows that the model runs, not how well"


def demo_text(tokenizer: Any = None, *, window: int = WINDOW, stride: int | None = None) -> Examples:
    """The bundled held-out text, each topic a document: tokens of `tokenizer`, or its UTF-8 bytes."""
    texts = topics("held-out")
    if tokenizer is not None:
        return text_windows(texts, tokenizer, name=DEMO_NAME, own=False, window=window, stride=stride)
    documents = [list(text.encode()) for text in texts]
    return windows_of(documents, name=DEMO_NAME, own=False, window=window, stride=stride)


def random_tokens(vocabulary: int, *, window: int = WINDOW, seed: int = 0) -> Examples:
    """Uniform random tokens below `vocabulary`: they compare two models, but measure none."""
    shape, generator = (RANDOM_WINDOWS, window), torch.Generator().manual_seed(seed)
    ids = torch.randint(vocabulary, shape, generator=generator)
    return Examples(f"random tokens: {_SHOWS}", False, {IDS: ids}, noise=True)


def noise_like(inputs: Any, *, seed: int = 0) -> Examples:
    """Normal noise in place of the floating tensors of example inputs; the others are repeated as they are.

    Raises SurgeryError where `inputs` are not tensors, or none of them is floating.
    """
    if isinstance(inputs, Tensor):
        inputs = (inputs,)
    if isinstance(inputs, tuple | list):
        inputs = {f"input {place}": value for place, value in enumerate(inputs)}
    known = isinstance(inputs, Mapping) and all(
        isinstance(value, Tensor) and value.dim() > 1 for value in inputs.values()
    )
    if not known or not any(value.is_floating_point() for value in inputs.values()):
        raise SurgeryError("no noise can be made in the likeness of these inputs", got=type(inputs).__name__)
    generator = torch.Generator().manual_seed(seed)
    made = {
        name: torch.randn(RANDOM_IMAGES, *value.shape[1:], generator=generator).to(value.dtype)
        if value.is_floating_point()
        else value[:1].repeat(RANDOM_IMAGES, *[1] * (value.dim() - 1)).cpu()
        for name, value in inputs.items()
    }
    pixels = any(value.dim() == 4 for value in made.values())
    what = "random images" if pixels else "random inputs"
    return Examples(f"{what}: {_SHOWS}", False, made, noise=True)


def default_examples(
    model: nn.Module,
    tokenizer: Any = None,
    *,
    inputs: Any = None,
    held_out: Callable[[], tuple[Tensor, Tensor]] | None = None,
    window: int = WINDOW,
) -> Examples:
    """What to evaluate `model` on when the user gave no data.

    `held_out` gives labelled images that belong to the model and that it never saw. Else with a tokenizer the
    bundled text; without one its bytes where the vocabulary has 256 entries, else random tokens; for models
    of other things noise like their example `inputs`. A window is never longer than the positions the model
    has. Raises SurgeryError where nothing says what the model takes, and for a tokenizer of another model.
    """
    if held_out is not None:
        images, labels = held_out()
        name = next(iter(inputs)) if isinstance(inputs, Mapping) and inputs else "images"
        return Examples(DIGITS_NAME, False, {name: images}, labels)
    vocabulary, window = vocabulary_size(model), window_for(model, window)
    if not _reads_text(model, inputs):
        return noise_like(inputs)
    if tokenizer is None and vocabulary is None:
        return _noise(model, inputs)
    if tokenizer is None and vocabulary is not None and vocabulary != 256:
        return random_tokens(vocabulary, window=window)
    examples = demo_text(tokenizer, window=window)
    highest = int(examples.inputs[IDS].max())
    if vocabulary is not None and highest >= vocabulary:
        raise SurgeryError(
            "the tokenizer does not belong to this model",
            got=f"token {highest}",
            expected=f"tokens below {vocabulary}",
        )
    return examples


def _reads_text(model: nn.Module, inputs: Any) -> bool:
    """Whether text alone is enough: no other inputs are known, or the model goes on writing without them."""
    values = inputs.values() if isinstance(inputs, Mapping) else ()
    if not any(isinstance(value, Tensor) and value.is_floating_point() for value in values):
        return True
    can = getattr(model, "can_generate", None)
    return bool(can and can()) and IDS in inspect.signature(model.forward).parameters


def _noise(model: nn.Module, inputs: Any) -> Examples:
    try:
        return noise_like(inputs)
    except SurgeryError:
        raise SurgeryError(
            f"nothing says which examples {type(model).__name__} takes",
            hint="examples of yours: `token_windows(ids)`, `tensors(inputs, labels)` or `image_folder(path)`",
        ) from None
