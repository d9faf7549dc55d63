"""Folders that Hugging Face `datasets` wrote with `save_to_disk`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from surgery import fence
from surgery.errors import SurgeryError
from surgery.evaluate.data.examples import IDS, MASK, Examples, nothing
from surgery.evaluate.data.images import MOST, Preprocess, class_number, prepared, processor_in, stacked
from surgery.evaluate.data.windows import WINDOW, text_windows

_TEXT, _LABEL, _IMAGE = "text", "label", "image"


def is_dataset_folder(folder: Path) -> bool:
    """Whether `save_to_disk` wrote this folder."""
    return any((folder / name).is_file() for name in ("dataset_dict.json", "state.json"))


def dataset_folder(
    folder: str | Path,
    *,
    tokenizer: Any = None,
    preprocess: Preprocess | str | Path | None = None,
    classes: Mapping[int, str] | None = None,
    split: str | None = None,
    text: str | None = None,
    label: str | None = None,
    image: str | None = None,
    window: int = WINDOW,
    stride: int | None = None,
    most: int = MOST,
    seed: int = 0,
) -> Examples:
    """A data set on disk: images, labelled texts, or texts to be predicted.

    The columns are found by the types of their features, or named with `text`, `label` and `image`. Texts
    with labels are an example each, cut to `window` tokens; texts without are documents in windows, as of
    `text_files`. Labels are mapped to `classes`, the model's, by name where both have names. Of more than
    `most` rows so many are drawn with `seed`.
    """
    place = fence.folder(Path(folder).expanduser())
    rows = _split(_loaded(place), split, str(place))
    text, label, image = _columns(rows, str(place), text, label, image)
    total = len(rows)
    if total == 0:
        raise nothing(str(place), "no rows")
    if total > most:
        rows = rows.shuffle(seed=seed).select(range(most))
    notes = [f"{most:,} of {total:,} rows, drawn at random."] if total > most else []
    labels = None if label is None else _labels(rows, label, classes, str(place))
    if image is not None:
        if preprocess is None:
            raise SurgeryError(
                "nothing says how images become tensors",
                path=str(place),
                hint="`preprocess=`, a function or the model's folder",
            )
        function = preprocess if callable(preprocess) else processor_in(Path(preprocess))
        images = [
            prepared(one, function, f"{place}, row {row}") for row, one in enumerate(rows[image])
        ]  # each read as it comes
        return Examples(
            place.name,
            True,
            {"pixel_values": stacked(images, str(place))},
            labels,
            seed=seed,
            notes=tuple(notes),
        )
    texts = [str(value) for value in rows[text] if value is not None]
    if labels is None:
        found = text_windows(texts, tokenizer, name=place.name, own=True, window=window, stride=stride)
    else:
        found = _labelled_texts(texts, labels, tokenizer, window, place.name)
    return Examples(
        found.name,
        True,
        found.inputs,
        found.labels,
        found.counted,
        found.documents,
        seed=seed,
        notes=(*notes, *found.notes),
    )


def _loaded(folder: Path) -> Any:
    try:
        import datasets
    except ImportError:
        raise SurgeryError(
            "the folder is one of Hugging Face datasets, which is not installed",
            path=str(folder),
            hint="`pip install 'model-surgery[datasets]'`",
        ) from None
    try:
        return datasets.load_from_disk(str(folder))
    except Exception as error:
        reason = str(error).strip().partition("\n")[0]
        raise SurgeryError(f"the data set cannot be read: {reason}", path=str(folder)) from error


def _split(found: Any, split: str | None, where: str) -> Any:
    """One part of the data: the named one, the only one, or what is meant to be measured on."""
    if not isinstance(found, Mapping):
        return found
    for name in (split,) if split else ("test", "validation", *([*found] if len(found) == 1 else [])):
        if name in found:
            return found[name]
    raise SurgeryError(
        f"the data set has no split {split!r}" if split else "the data set has several splits",
        path=where,
        expected=f"one of {', '.join(found)}",
        hint=f"`split={next(iter(found))!r}`" if found else None,
    )


def _columns(
    rows: Any, where: str, text: str | None, label: str | None, image: str | None
) -> tuple[str | None, str | None, str | None]:
    """The columns of text, label and image: those named, else the only one of the type."""
    features = dict(rows.features)
    for name in (text, label, image):
        if name is not None and name not in features:
            raise SurgeryError(
                f"the data set has no column {name!r}", path=where, expected=f"one of {', '.join(features)}"
            )
    kinds = {name: _kind(feature) for name, feature in features.items()}

    def only(kind: str) -> str | None:
        found = [name for name, each in kinds.items() if each == kind]
        if len(found) > 1:
            raise SurgeryError(
                f"the data set has several columns of kind {kind}",
                path=where,
                got=" and ".join(found),
                hint=f"`{kind}={found[0]!r}`",
            )
        return found[0] if found else None

    if image is None and text is None:
        image = only(_IMAGE)
    if image is None and text is None:
        text = only(_TEXT)
    if image is None and text is None:
        raise SurgeryError(
            "the data set has neither texts nor images",
            path=where,
            got=", ".join(f"{name} ({type(feature).__name__})" for name, feature in features.items()),
            hint="`tensors(inputs, labels)`",
        )
    return text, only(_LABEL) if label is None else label, image


def _kind(feature: Any) -> str | None:
    name = type(feature).__name__
    if name == "Value":
        return _TEXT if getattr(feature, "dtype", "") in ("string", "large_string") else None
    return {"ClassLabel": _LABEL, "Image": _IMAGE}.get(name)


def _labels(rows: Any, column: str, classes: Mapping[int, str] | None, where: str) -> torch.Tensor:
    """The labels as the model numbers them, (n,) int64."""
    values: Sequence[Any] = list(rows[column])
    if not values or not all(isinstance(value, int | str) for value in values):
        got = next((type(value).__name__ for value in values if not isinstance(value, int | str)), "nothing")
        raise SurgeryError(
            f"the labels in {column!r} are no classes", path=where, got=got, expected="whole numbers or names"
        )
    names = getattr(rows.features[column], "names", None)
    if classes is None and names is not None:
        return torch.tensor(values)
    if names is not None:
        numbers = [class_number(name, classes, where) for name in names]
        if min(values) < 0:
            raise SurgeryError("a row has no label", path=where, got=min(values))
        return torch.tensor([numbers[value] for value in values])
    found = [value if isinstance(value, int) else class_number(value, classes, where) for value in values]
    return torch.tensor(found)


def _labelled_texts(
    texts: Sequence[str], labels: torch.Tensor, tokenizer: Any, window: int, name: str
) -> Examples:
    """An example per text, padded on the right to the longest."""
    if tokenizer is None:
        raise SurgeryError("there is no tokenizer to read text with", path=name)
    if len(texts) != len(labels):
        raise SurgeryError(
            "a row has no text", path=name, got=f"{len(texts)} texts", expected=f"{len(labels)}"
        )
    parts = [list(tokenizer(text)["input_ids"]) for text in texts]
    if empty := sum(not part for part in parts):
        raise SurgeryError("a text has no tokens", path=name, got=f"{empty} such")
    cut, longest = sum(len(part) > window for part in parts), min(window, max(map(len, parts)))
    padding = getattr(tokenizer, "pad_token_id", None) or 0
    ids = torch.tensor([part[:longest] + [padding] * (longest - len(part)) for part in parts])
    mask = (torch.arange(longest) < torch.tensor([[len(part)] for part in parts])).long()
    notes = (f"{cut:,} of {len(texts):,} texts cut to {window} tokens.",) if cut else ()
    return Examples(name, True, {IDS: ids, MASK: mask}, labels, notes=notes)
