import math
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
from surgery.evaluate import Evaluator, examples_at, image_folder
from surgery.evaluate.data.images import class_number

CLASSES = {0: "tabby cat", 1: "Dog", 2: "crane, wading bird", 3: "crane, machine"}


class Picture:
    """What a file holds, standing for a PIL image: a grey value."""

    def __init__(self, value: int) -> None:
        self.value = value

    def __enter__(self) -> "Picture":
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def convert(self, mode: str) -> "Picture":
        assert mode == "RGB"
        return self


@pytest.fixture
def pillow(monkeypatch: pytest.MonkeyPatch) -> None:
    """A module in Pillow's place whose images are files with one number."""
    module, images = ModuleType("PIL"), ModuleType("PIL.Image")

    def opened(file: Path) -> Picture:
        return Picture(int(file.read_text(encoding="utf-8")))

    images.open = opened  # type: ignore[attr-defined]
    module.Image = images  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "PIL", module)
    monkeypatch.setitem(sys.modules, "PIL.Image", images)


@pytest.fixture
def folder(tmp_path: Path) -> Callable[..., Path]:
    """Makes files of the given paths, each holding its number in the order of the paths."""

    def make(*names: str) -> Path:
        for number, name in enumerate(names):
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text(str(number), encoding="utf-8")
        return tmp_path

    return make


def grey(image: Picture) -> Tensor:
    """One channel of 2 × 2 pixels."""
    return torch.full((1, 2, 2), float(image.value))


def test_folders_are_classes_by_name(pillow: None, folder: Callable[..., Path]) -> None:
    """Whatever their case and however words are joined; files are read in the order of their names."""
    place = folder("dog/a.png", "dog/b.JPG", "Tabby_Cat/c.png", "Tabby_Cat/notes.txt")
    examples = image_folder(place, grey, classes=CLASSES)
    assert examples.labels is not None and examples.labels.tolist() == [0, 1, 1]
    assert examples.inputs["pixel_values"][:, 0, 0, 0].tolist() == [2, 0, 1]
    assert (examples.own, examples.noun, examples.notes) == (True, "image", ())


def test_loose_images_have_no_labels(pillow: None, folder: Callable[..., Path]) -> None:
    """A flat folder serves fidelity."""
    assert image_folder(folder("a.png", "b.png"), grey).labels is None


def test_numbers_without_names(pillow: None, folder: Callable[..., Path]) -> None:
    """Folders called by numbers are these classes where the model does not name its own."""
    examples = image_folder(folder("7/a.png", "3/b.png"), grey)
    assert examples.labels is not None and examples.labels.tolist() == [3, 7]


def test_of_many_images_some_are_drawn(pillow: None, folder: Callable[..., Path]) -> None:
    """The same ones for the same seed, and the report says so."""
    place = folder(*(f"{i:02}.png" for i in range(30)))
    first, again, other = (image_folder(place, grey, most=9, seed=seed) for seed in (0, 0, 1))
    assert len(first) == 9 and first.notes == ("9 of 30 images, drawn at random.",)
    assert torch.equal(first.inputs["pixel_values"], again.inputs["pixel_values"])
    assert not torch.equal(first.inputs["pixel_values"], other.inputs["pixel_values"])


def test_a_classifier_is_measured_on_a_folder(pillow: None, folder: Callable[..., Path]) -> None:
    """Accuracy and agreement of a function that reads the label off the image."""
    place = folder("0/a.png", "1/b.png", "1/c.png")  # they hold 0, 1 and 2

    class Reads(torch.nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            return -(images[:, 0, :1, 0] - torch.arange(3.0)).abs()

    report = Evaluator(Reads(), examples=image_folder(place, grey)).evaluate(Reads(), math.inf)
    assert report["accuracy"].after == pytest.approx(200 / 3) and report["agreement"].value == 100
    assert report.tokens == 0 and report.amount == "3 images"


@pytest.mark.parametrize(
    ("name", "classes", "problem"),
    [
        ("cat", CLASSES, "the model has no class called 'cat'; .*such as tabby cat, Dog"),
        ("crane", CLASSES, "'crane' is the name of several classes; got classes 2 and 3"),
        ("cat", None, "nothing says which class 'cat' is: the model does not name its classes.*classes="),
    ],
)
def test_folders_that_are_no_class(name: str, classes: dict[int, str] | None, problem: str) -> None:
    """No guess is made: it is said which folder has no class, and what there is."""
    with pytest.raises(SurgeryError, match=problem):
        class_number(name, classes, "pictures")


def test_refused_folders(pillow: None, folder: Callable[..., Path], tmp_path: Path) -> None:
    """Empty ones, images of several shapes or beside classes, and images that cannot be prepared."""
    with pytest.raises(SurgeryError, match="there is nothing to evaluate on; got a folder without images"):
        image_folder(tmp_path, grey)
    with pytest.raises(SurgeryError, match="gone: there is no such folder"):
        image_folder(tmp_path / "gone", grey)
    place = folder("a.png", "b.png")

    def sized(image: Picture) -> Tensor:
        return torch.zeros(1, 2 + image.value, 2)

    with pytest.raises(SurgeryError, match=r"come out in several shapes; got \(1, 2, 2\) and \(1, 3, 2\)"):
        image_folder(place, sized)
    with pytest.raises(SurgeryError, match=r"a\.png: the image cannot be prepared: .*zero"):
        image_folder(place, lambda image: 1 // image.value)  # type: ignore[arg-type, return-value]
    with pytest.raises(SurgeryError, match=r"a\.png: an image was prepared to no tensor; got str"):
        image_folder(place, lambda image: "x")  # type: ignore[arg-type, return-value]
    with pytest.raises(SurgeryError, match="the model brings no image processor"):
        image_folder(place, tmp_path)
    folder("cats/c.png")
    with pytest.raises(SurgeryError, match=r"images lie beside folders of images.*got 2 beside 1"):
        image_folder(place, grey)


def test_without_pillow(monkeypatch: pytest.MonkeyPatch, folder: Callable[..., Path]) -> None:
    """The error says what to install."""
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(SurgeryError, match=r"Pillow, which is not installed.*model-surgery\[images\]"):
        image_folder(folder("a.png"), grey)


class Processors:
    """In the place of transformers' AutoImageProcessor."""

    @staticmethod
    def from_pretrained(place: Path, **_: Any) -> Any:
        """Halves the grey value; of a folder called `lacking`, something is not installed."""
        if place.name == "lacking":
            raise ImportError("\nViTImageProcessor requires the X library. Install it.\nThen restart.")
        return lambda images, return_tensors: {"pixel_values": [torch.full((3, 4, 4), images.value / 2)]}


def test_a_processor_of_the_model(
    pillow: None, folder: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, tmp_path_factory: Any
) -> None:
    """The image processor in the model's folder prepares the images; one that lacks a library says so."""
    monkeypatch.setattr("transformers.AutoImageProcessor", Processors, raising=False)
    place = folder("a.png", "b.png")
    for name in ("whole", "lacking"):
        model = tmp_path_factory.mktemp("models") / name
        model.mkdir()
        (model / "preprocessor_config.json").write_text("{}", encoding="utf-8")
        if name == "whole":
            found = image_folder(place, model).inputs["pixel_values"]
            assert found.shape == (2, 3, 4, 4) and found[1, 0, 0, 0] == 0.5
        else:
            with pytest.raises(
                SurgeryError, match=r"loaded: ViTImageProcessor requires the X library\. Try: "
            ):
                image_folder(place, model)


def test_a_real_processor_and_real_images(tmp_path: Path) -> None:
    """Pillow's images through transformers' own processor of a ViT: scaled, normalised, resized."""
    import transformers
    from PIL import Image

    pixels, model = tmp_path / "pixels", tmp_path / "model"
    pixels.mkdir()
    Image.new("RGB", (30, 20), (255, 0, 0)).save(pixels / "red.png")
    transformers.ViTImageProcessor(size={"height": 8, "width": 8}).save_pretrained(model)
    found = image_folder(pixels, model).inputs["pixel_values"]
    assert found.shape == (1, 3, 8, 8)
    assert torch.allclose(found[0, :, 3, 3], torch.tensor([1.0, -1.0, -1.0]))


def test_a_path_is_known_by_what_it_is(folder: Callable[..., Path], tmp_path: Path) -> None:
    """Images without a processor, nothing at all, and a file that is not there are refused by name."""
    opened = surgery.open("demo-cnn").opened
    with pytest.raises(SurgeryError, match="holds nothing to evaluate on"):
        examples_at(tmp_path, opened)
    with pytest.raises(SurgeryError, match=r"the model brings no image processor.*image_folder"):
        examples_at(folder("a.png"), opened)
    with pytest.raises(SurgeryError, match="no such file or folder"):
        examples_at(tmp_path / "gone", opened)
