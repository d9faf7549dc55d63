"""Folders of images: loose ones, or a folder per class."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from graph.paths import nearest
from surgery import fence
from surgery.errors import SurgeryError
from surgery.evaluate.data.examples import Examples, nothing

ENDINGS = frozenset({".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"})
MOST = 512
"""Images read from a folder: what a budget of seconds can hardly use up."""

Preprocess = Callable[[Any], Tensor]


def image_folder(
    folder: str | Path,
    preprocess: Preprocess | str | Path,
    *,
    classes: Mapping[int, str] | None = None,
    most: int = MOST,
    seed: int = 0,
    key: str = "pixel_values",
) -> Examples:
    """The images in `folder`, labelled by its subfolders where it has such.

    `preprocess`: the model's folder, whose image processor is taken, or a function from a PIL image (RGB) to
    a tensor (channels, height, width), the same for all. `classes`: the model's classes by number, such as
    `config.id2label`; a subfolder is the class of its name, or the number that it is called where there
    are no names. Of more than `most` images so many are drawn with `seed`. `key`: the input's name.

    Raises SurgeryError for a folder without images, a subfolder that is no class, and images that cannot be
    read or come out in several shapes.
    """
    place = fence.folder(Path(folder).expanduser())
    found, names = _files(place)
    known = {name: class_number(name, classes, str(place)) for name in dict.fromkeys(names or ())}
    rows = list(range(len(found)))
    if len(rows) > most:
        rows = sorted(random.Random(seed).sample(rows, most))
    function = preprocess if callable(preprocess) else processor_in(Path(preprocess))
    pixels = stacked([prepared(found[row], function, str(found[row])) for row in rows], str(place))
    notes = (f"{most:,} of {len(found):,} images, drawn at random.",) if len(rows) < len(found) else ()
    labels = None if names is None else torch.tensor([known[names[row]] for row in rows])
    return Examples(place.name, True, {key: pixels}, labels, seed=seed, notes=notes)


def is_image_folder(folder: Path) -> bool:
    """Whether images lie in `folder` or in the folders right in it."""
    return any(file.suffix.lower() in ENDINGS for depth in ("*", "*/*") for file in folder.glob(depth))


def processor_in(folder: Path) -> Preprocess:
    """The image processor of a model's folder as a function from a PIL image to a tensor."""
    if not any((folder / name).is_file() for name in ("preprocessor_config.json", "processor_config.json")):
        raise SurgeryError(
            "the model brings no image processor",
            path=str(folder),
            hint="a function from an image to a tensor: `image_folder(path, preprocess)`",
        )
    from transformers import AutoImageProcessor

    fence.folder(folder)

    try:
        processor = AutoImageProcessor.from_pretrained(folder, local_files_only=True)
    except ImportError as error:
        reason = str(error).strip().partition(". ")[0].partition("\n")[0]
        raise SurgeryError(
            f"its image processor cannot be loaded: {reason}",
            path=str(folder),
            hint="`pip install pillow torchvision`",
        ) from None
    except Exception as error:
        raise SurgeryError(f"its image processor cannot be read: {error}", path=str(folder)) from None

    def run(image: Any) -> Tensor:
        pixels: Tensor = processor(images=image, return_tensors="pt")["pixel_values"][0]
        return pixels

    return run


def prepared(image: Any, preprocess: Preprocess, where: str) -> Tensor:
    """What `preprocess` makes of an image, given as a PIL image or as a file's path, on the CPU."""
    try:
        tensor: object = preprocess(_opened(image) if isinstance(image, Path) else image.convert("RGB"))
    except SurgeryError:
        raise
    except Exception as error:
        raise SurgeryError(f"the image cannot be prepared: {error}", path=where) from error
    if not isinstance(tensor, Tensor):
        raise SurgeryError("an image was prepared to no tensor", path=where, got=type(tensor).__name__)
    return tensor.detach().cpu()


def stacked(images: Sequence[Tensor], where: str) -> Tensor:
    """Images of one shape in one tensor; SurgeryError where they are of several."""
    shapes = sorted({tuple(image.shape) for image in images})
    if len(shapes) > 1:
        raise SurgeryError(
            "the images come out in several shapes",
            path=where,
            got=" and ".join(str(shape) for shape in shapes[:3]),
            expected="one",
            hint="a `preprocess` that resizes",
        )
    return torch.stack(list(images))


def class_number(name: str, classes: Mapping[int, str] | None, where: str) -> int:
    """The number of the class called `name`, whatever its case and however its words are joined."""
    if classes is None:
        if name.isdecimal():
            return int(name)
        raise SurgeryError(
            f"nothing says which class {name!r} is: the model does not name its classes",
            path=where,
            hint="`classes={0: 'cat', 1: 'dog'}`",
        )
    wanted = _words(name)
    found = [number for number, label in classes.items() if label == name]
    found = found or [number for number, label in classes.items() if wanted in _synonyms(label)]
    if len(found) == 1:
        return found[0]
    if found:
        numbers = " and ".join(map(str, found))
        raise SurgeryError(f"{name!r} is the name of several classes", path=where, got=f"classes {numbers}")
    near = nearest(name, list(classes.values()), 1)
    raise SurgeryError(
        f"the model has no class called {name!r}",
        path=where,
        expected=f"one of {len(classes)} classes, such as {', '.join(list(classes.values())[:3])}",
        hint=f"`{near[0]}`" if near else "`classes={number: name}`",
    )


def _files(folder: Path) -> tuple[list[Path], list[str] | None]:
    """The images in order, and for each the subfolder it is in, unless they lie there loose."""
    if not folder.is_dir():
        raise SurgeryError("there is no such folder", path=str(folder))
    loose = sorted(file for file in folder.iterdir() if file.suffix.lower() in ENDINGS)
    sorted_in = sorted(file for file in folder.glob("*/*") if file.suffix.lower() in ENDINGS)
    if loose and sorted_in:
        raise SurgeryError(
            "images lie beside folders of images: are they labelled or not?",
            path=str(folder),
            got=f"{len(loose)} beside {len(sorted_in)}",
        )
    if not loose and not sorted_in:
        raise nothing(str(folder), "a folder without images")
    return (loose, None) if loose else (sorted_in, [file.parent.name for file in sorted_in])


def _opened(file: Path) -> Any:
    """The image in a file as a PIL image, RGB."""
    try:
        from PIL import Image
    except ImportError:
        raise SurgeryError(
            "images are read with Pillow, which is not installed",
            hint="`pip install 'model-surgery[images]'`",
        ) from None
    with Image.open(file) as image:
        return image.convert("RGB")


def _words(name: str) -> str:
    return re.sub(r"[\s_-]+", " ", name).strip().casefold()


def _synonyms(label: str) -> set[str]:
    """A label as a whole and, as ImageNet's list several names, each of them."""
    return {_words(label), *(_words(part) for part in label.split(","))}
