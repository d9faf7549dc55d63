"""Data sets on disk: through a stand-in for the library `datasets`, and through it where it is installed."""

import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import Tensor

import surgery
from surgery.errors import SurgeryError
from surgery.evaluate import dataset_folder, examples_at
from tests.surgery.evaluate.data.test_windows import Words


def feature(kind: str, **more: Any) -> Any:
    """A feature as `datasets` has them: what it is is its class."""
    return type(kind, (), more)()


TEXT, LABEL = feature("Value", dtype="string"), feature("ClassLabel", names=["cat", "dog"])
NUMBER, IMAGE = feature("Value", dtype="int64"), feature("Image")
Loaded = Callable[..., Path]


class Rows:
    """Columns with features, as one split has them."""

    def __init__(self, columns: dict[str, list[Any]], features: dict[str, Any]) -> None:
        self.columns, self.features = columns, features

    def __len__(self) -> int:
        return len(next(iter(self.columns.values()), []))

    def __getitem__(self, name: str) -> list[Any]:
        return self.columns[name]

    def shuffle(self, seed: int) -> "Rows":
        return Rows({name: values[::-1] for name, values in self.columns.items()}, self.features)

    def select(self, rows: range) -> "Rows":
        return Rows({name: values[: len(rows)] for name, values in self.columns.items()}, self.features)


@pytest.fixture
def loaded(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Loaded:
    """Makes a folder from which the stand-in loads these columns, or these splits."""

    def make(splits: Any = None, **columns: tuple[Any, list[Any]]) -> Path:
        module = ModuleType("datasets")
        rows = Rows({name: c[1] for name, c in columns.items()}, {name: c[0] for name, c in columns.items()})
        module.load_from_disk = lambda place: rows if splits is None else splits  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, "datasets", module)
        (tmp_path / "state.json").write_text("{}", encoding="utf-8")
        return tmp_path

    return make


def test_texts_are_documents(loaded: Loaded) -> None:
    """Each row is cut by itself, and rows are the documents that intervals are drawn over."""
    place = loaded(body=(TEXT, ["one two three", "four five"]), length=(NUMBER, [3, 2]))
    examples = dataset_folder(place, tokenizer=Words(), window=2)
    assert examples.inputs["input_ids"].tolist() == [[1, 2], [4, 5]] and examples.labels is None
    assert examples.documents is not None and examples.documents.tolist() == [0, 1]


def test_labelled_texts(loaded: Loaded) -> None:
    """A text and its label are an example; labels go by the model's names; texts that are cut are counted."""
    place = loaded(text=(TEXT, ["one two three four", "five"]), label=(LABEL, [1, 0]))
    examples = dataset_folder(place, tokenizer=Words(), classes={0: "Dog", 5: "cat"}, window=3)
    assert examples.inputs["input_ids"].tolist() == [[1, 2, 3], [5, 0, 0]]
    assert examples.inputs["attention_mask"].tolist() == [[1, 1, 1], [1, 0, 0]]
    assert examples.labels is not None and examples.labels.tolist() == [0, 5]
    assert examples.notes == ("1 of 2 texts cut to 3 tokens.",)


def test_images(loaded: Loaded) -> None:
    """Images go through the caller's function, a label by number where the model has no names."""

    class Picture:
        def convert(self, mode: str) -> "Picture":
            return self

    def prepare(image: Any) -> Tensor:
        return torch.ones(3, 2, 2)

    place = loaded(image=(IMAGE, [Picture(), Picture()]), label=(LABEL, [1, 0]))
    examples = dataset_folder(place, preprocess=prepare)
    assert examples.inputs["pixel_values"].shape == (2, 3, 2, 2)
    assert examples.labels is not None and examples.labels.tolist() == [1, 0]
    with pytest.raises(SurgeryError, match="nothing says how images become tensors"):
        dataset_folder(place)


def test_many_rows_are_drawn_from(loaded: Loaded) -> None:
    """A budget of seconds never needs all; that some were drawn is said."""
    place = loaded(text=(TEXT, [f"a{i} b{i} c{i}" for i in range(20)]))
    examples = dataset_folder(place, tokenizer=Words(), window=4, most=5)
    assert len(examples) == 5 and examples.notes == ("5 of 20 rows, drawn at random.",)


def test_splits(loaded: Loaded) -> None:
    """What is meant to be measured on is taken, or the only one, or the one that is named."""

    def rows(*texts: str) -> Rows:
        return Rows({"text": list(texts)}, {"text": TEXT})

    splits = {"train": rows("one two"), "test": rows("three four five")}
    place = loaded(splits)
    assert dataset_folder(place, tokenizer=Words()).inputs["input_ids"].shape[1] == 256
    assert int(dataset_folder(place, tokenizer=Words()).inputs["attention_mask"].sum()) == 3
    assert int(dataset_folder(place, tokenizer=Words(), split="train").inputs["attention_mask"].sum()) == 2
    with pytest.raises(SurgeryError, match="the data set has no split 'dev'; expected one of train, test"):
        dataset_folder(place, tokenizer=Words(), split="dev")
    loaded({"a": rows("x y"), "b": rows("x y")})
    with pytest.raises(SurgeryError, match=r"several splits; expected one of a, b\. Try: `split="):
        dataset_folder(place, tokenizer=Words())


@pytest.mark.parametrize(
    ("columns", "named", "problem"),
    [
        (
            {"a": (TEXT, ["x y"]), "b": (TEXT, ["x y"])},
            {},
            "several columns of kind text; got a and b",
        ),
        ({"a": (NUMBER, [1])}, {}, r"neither texts nor images; got a \(Value\)"),
        ({"a": (TEXT, ["x y"])}, {"label": "b"}, "the data set has no column 'b'; expected one of a"),
        ({"a": (TEXT, [])}, {}, "there is nothing to evaluate on; got no rows"),
        (
            {"a": (TEXT, ["x y"]), "l": (NUMBER, [0.5])},
            {"label": "l"},
            "labels in 'l' are no classes; got float",
        ),
        ({"a": (TEXT, ["x y"]), "l": (LABEL, [-1])}, {}, "a row has no label; got -1"),
        ({"a": (TEXT, ["x y"]), "l": (TEXT, ["cow"])}, {"text": "a", "label": "l"}, "no class called 'cow'"),
    ],
)
def test_refused_data(loaded: Loaded, columns: Any, named: dict[str, str], problem: str) -> None:
    """Columns that cannot be told apart or are not there, and values that are no labels."""
    place = loaded(**columns)
    with pytest.raises(SurgeryError, match=problem):
        dataset_folder(place, tokenizer=Words(), classes={0: "cat", 1: "dog"}, **named)


def test_without_the_library(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The error says what to install."""
    monkeypatch.setitem(sys.modules, "datasets", None)
    (tmp_path / "state.json").write_text("{}", encoding="utf-8")
    with pytest.raises(SurgeryError, match=r"is not installed.*pip install 'model-surgery\[datasets\]'"):
        examples_at(tmp_path, surgery.open("demo-cnn").opened)


def test_the_library_itself(tmp_path: Path) -> None:
    """What `save_to_disk` wrote is read: texts with labels by name, and a folder that is broken."""
    import datasets

    features = datasets.Features(
        {"text": datasets.Value("string"), "label": datasets.ClassLabel(names=["cat", "dog"])}
    )
    rows = {"text": ["one two", "three"], "label": [1, 0]}
    made = datasets.Dataset.from_dict(rows, features=features)
    datasets.DatasetDict({"train": made, "test": made}).save_to_disk(str(tmp_path / "d"))
    examples = dataset_folder(tmp_path / "d", tokenizer=Words(), classes={3: "dog", 4: "cat"})
    assert examples.inputs["input_ids"].tolist() == [[1, 2], [3, 0]]
    assert examples.labels is not None and examples.labels.tolist() == [3, 4]
    (tmp_path / "state.json").write_text("{}", encoding="utf-8")
    with pytest.raises(SurgeryError, match="the data set cannot be read"):
        dataset_folder(tmp_path)


def test_images_of_the_library_itself(tmp_path: Path) -> None:
    """An Image column is decoded by Pillow."""
    import datasets
    from PIL import Image

    features = datasets.Features({"picture": datasets.Image(), "label": datasets.ClassLabel(num_classes=2)})
    pictures = [Image.new("RGB", (2, 2), (value, 0, 0)) for value in (0, 255)]
    datasets.Dataset.from_dict({"picture": pictures, "label": [1, 0]}, features=features).save_to_disk(
        str(tmp_path / "d")
    )

    def red(picture: Any) -> Tensor:
        return torch.full((1, 2, 2), float(picture.getpixel((0, 0))[0]))

    examples = dataset_folder(tmp_path / "d", preprocess=red)
    assert examples.inputs["pixel_values"][:, 0, 0, 0].tolist() == [0, 255]
    assert examples.labels is not None and examples.labels.tolist() == [1, 0]
