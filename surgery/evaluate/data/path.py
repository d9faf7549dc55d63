"""What lies at a path the user names: text files, a data set on disk, a folder of images."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from surgery import fence
from surgery.errors import SurgeryError
from surgery.evaluate.data.dataset_folders import dataset_folder, is_dataset_folder
from surgery.evaluate.data.examples import Examples
from surgery.evaluate.data.images import image_folder, is_image_folder
from surgery.evaluate.data.vocabulary import class_names
from surgery.evaluate.data.windows import text_files, window_for

if TYPE_CHECKING:
    from surgery.sources import Opened


def examples_at(
    path: str | Path, opened: Opened, *, stride: int | None = None, split: str | None = None
) -> Examples:
    """The examples for an opened model at `path`: by what it is, with the model's own tokenizer or processor.

    A folder of text files is all of its `*.txt`. Raises SurgeryError for what is none of these.
    """
    place = fence.folder(Path(path).expanduser())
    window, classes = window_for(opened.model), class_names(opened.model)
    if place.is_file():
        return text_files([place], opened.tokenizer, window, stride)
    if not place.is_dir():
        raise SurgeryError("there is no such file or folder", path=str(place))
    if is_dataset_folder(place):
        return dataset_folder(
            place,
            tokenizer=opened.tokenizer,
            preprocess=opened.folder,
            classes=classes,
            split=split,
            window=window,
            stride=stride,
        )
    if is_image_folder(place):
        if opened.folder is None:
            raise SurgeryError(
                "the model brings no image processor",
                path=str(place),
                hint="`s.evaluate(examples=image_folder(path, preprocess))` in Python",
            )
        return image_folder(place, opened.folder, classes=classes)
    if texts := sorted(place.glob("*.txt")):
        return text_files(texts, opened.tokenizer, window, stride)
    raise SurgeryError(
        "holds nothing to evaluate on",
        path=str(place),
        expected="text files, images, folders of images named like classes, or a data set on disk",
    )
