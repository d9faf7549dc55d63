"""What a model is asked: text, token ids, an image, tensors, or one of the examples of its data."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from surgery import fence
from surgery.errors import SurgeryError
from surgery.evaluate.data.examples import IDS, MASK, Examples
from surgery.evaluate.data.images import prepared, processor_in
from surgery.prompting.lettering import Lettering
from surgery.sources import Opened

_SHOWN = 120
_PROCESSORS = ("preprocessor_config.json", "processor_config.json")


@dataclass(frozen=True, eq=False)
class Prompt:
    """One example as a model takes it: `inputs` by name, (1, …) each; `said` is what it is in words."""

    said: str
    inputs: Mapping[str, Tensor]
    label: int | None = None
    notes: tuple[str, ...] = ()

    @property
    def ids(self) -> list[int] | None:
        """The token ids; None for what is no text."""
        found = self.inputs.get(IDS)
        return None if found is None else [int(item) for item in found[0]]


def prompt_of(given: Any, opened: Opened, lettering: Lettering) -> Prompt:
    """What the model is shown: `given` is text, token ids, an image (a path or a PIL image) or tensors.

    SurgeryError for what this model does not take.
    """
    if isinstance(given, Mapping):
        return _of_tensors(given)
    if isinstance(given, Tensor) and given.is_floating_point():
        return _of_pixels(given, opened)
    if isinstance(given, Tensor):
        given = given.flatten().tolist()
    if isinstance(given, str) and _takes_text(opened, lettering):
        return _of_ids(lettering.ids(given), lambda: given)
    if isinstance(given, Sequence) and not isinstance(given, str | bytes):
        if not all(isinstance(item, int) and not isinstance(item, bool) for item in given):
            raise SurgeryError("token ids are whole numbers", path="the prompt", got=repr(list(given))[:60])
        return _of_ids(list(given), lambda: lettering.text(given))
    if isinstance(given, str | Path) or hasattr(given, "convert"):
        return _of_image(given, opened)
    raise SurgeryError(
        "this is no prompt",
        got=type(given).__name__,
        expected="text, token ids, an image, or tensors by name",
    )


def prompt_from(examples: Examples, number: int, lettering: Lettering) -> Prompt:
    """Example `number` of the data, counted from 0 as the data have them."""
    if not 0 <= number < len(examples):
        raise SurgeryError(
            "the data have no such example",
            path=examples.name,
            got=number,
            expected=f"0 to {len(examples) - 1:,}",
        )
    inputs = {name: value[number : number + 1] for name, value in examples.inputs.items()}
    label = None
    if examples.labels is not None and examples.labels.dim() == 1 and int(examples.labels[number]) >= 0:
        label = int(examples.labels[number])
    return Prompt(example_name(examples, number, lettering), _without_padding(inputs), label)


def example_name(examples: Examples, number: int, lettering: Lettering) -> str:
    """`image 12`, or the beginning of a text."""
    ids = examples.inputs.get(IDS)
    if ids is None or not lettering.reads_text:
        return f"{examples.noun} {number}"
    row = _without_padding({name: value[number : number + 1] for name, value in examples.inputs.items()})
    text = lettering.text([int(item) for item in row[IDS][0][:_SHOWN]])
    return f"{examples.noun} {number}: {text[:_SHOWN]}"


def _of_ids(ids: list[int], said: Callable[[], str]) -> Prompt:
    if not ids:
        raise SurgeryError("the prompt has no token to go on from", expected="some text")
    if min(ids) < 0:
        raise SurgeryError("token ids are never negative", path="the prompt", got=min(ids))
    return Prompt(said(), {IDS: torch.tensor([ids])})


def _of_tensors(given: Mapping[Any, Any]) -> Prompt:
    wrong = next((name for name, value in given.items() if not isinstance(value, Tensor)), None)
    if not given or wrong is not None:
        raise SurgeryError("inputs are tensors by name", path="the prompt", got=wrong or "none")
    inputs = {str(name): value.detach().cpu() for name, value in given.items()}
    short = next((name for name, value in inputs.items() if value.dim() == 0 or len(value) != 1), None)
    if short is not None:
        got = f"{short} of shape {tuple(inputs[short].shape)}"
        raise SurgeryError("a prompt is one example", got=got, expected="tensors (1, …)")
    return Prompt(", ".join(f"{name} {tuple(value.shape)}" for name, value in inputs.items()), inputs)


def _of_pixels(given: Tensor, opened: Opened) -> Prompt:
    """One tensor for a model of images or vectors, with or without the dimension of examples."""
    name, example = floating(opened)
    tensor = given.detach().cpu()
    if example is not None and tensor.dim() == example.dim() - 1:
        tensor = tensor.unsqueeze(0)
    return _of_tensors({name: tensor})


def _of_image(given: Any, opened: Opened) -> Prompt:
    name, example = floating(opened)
    if example is None or example.dim() != 4:
        raise SurgeryError(
            "this model takes no image", path="the prompt", got=str(given)[:80], hint="text or token ids"
        )
    image = fence.reading(Path(given).expanduser()) if isinstance(given, str | Path) else given
    if isinstance(image, Path) and not image.is_file():
        raise SurgeryError("there is no such image", path=str(image))
    notes: tuple[str, ...] = ()
    folder = opened.folder
    if folder is not None and any((folder / file).is_file() for file in _PROCESSORS):
        prepare: Callable[[Any], Tensor] = processor_in(folder)
    else:
        prepare, (channels, height, width) = _plainly(example), example.shape[1:]
        notes = (
            f"The model brings no image processor: the image is resized to {height} × {width}, "
            f"{'grey' if channels == 1 else 'in colours'}, values from 0 to 1.",
        )
    where = str(image) if isinstance(image, Path) else "the image"
    said = image.name if isinstance(image, Path) else "an image"
    return Prompt(said, {name: prepared(image, prepare, where).unsqueeze(0)}, notes=notes)


def _plainly(example: Tensor) -> Callable[[Any], Tensor]:
    """A function from an image to a tensor of the shape of the example's, with values from 0 to 1."""
    channels, height, width = example.shape[1:]

    def run(image: Any) -> Tensor:
        drawn = image.convert("L" if channels == 1 else "RGB").resize((width, height))
        pixels = torch.frombuffer(bytearray(drawn.tobytes()), dtype=torch.uint8)
        found = pixels.view(height, width, -1).permute(2, 0, 1).float() / 255
        if len(found) != channels:
            raise SurgeryError("an image has one channel or three", path="the prompt", expected=channels)
        return found

    return run


def floating(opened: Opened) -> tuple[str, Tensor | None]:
    """The name and the example of the input that is no token; a name for it where there is none."""
    inputs = opened.inputs
    if isinstance(inputs, Tensor):
        inputs = (inputs,)
    named = inputs.items() if isinstance(inputs, Mapping) else [("input", item) for item in inputs or ()]
    found = ((str(name), item) for name, item in named if isinstance(item, Tensor))
    return next(((name, item) for name, item in found if item.is_floating_point()), ("input", None))


def _takes_text(opened: Opened, lettering: Lettering) -> bool:
    """Whether a text is meant as such, and not as the path of an image."""
    inputs = opened.inputs
    by_name = isinstance(inputs, Mapping) and IDS in inputs
    return by_name or floating(opened)[1] is None or lettering.reads_text


def _without_padding(inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """One window of tokens without its padding, and without a mask of ones; other inputs as they are."""
    mask = inputs.get(MASK)
    if mask is None or IDS not in inputs or not all(item.shape == mask.shape for item in inputs.values()):
        return dict(inputs)
    held = mask[0].bool()
    return {name: value[:, held] for name, value in inputs.items() if name != MASK}
