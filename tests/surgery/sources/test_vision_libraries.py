"""timm and torchvision by stand-ins: neither lies beside the CPU build of torch that the tests run on."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

import surgery
from surgery import SurgeryError

CFG = {"input_size": (3, 32, 48), "num_classes": 10}


class Pictures(nn.Module):
    """As timm makes them: it says what images it takes."""

    def __init__(self, num_classes: int = 10, in_chans: int = 3, width: int = 4) -> None:
        super().__init__()
        self.pretrained_cfg = CFG
        self.stem = nn.Conv2d(in_chans, width, 3)
        self.norm = nn.BatchNorm2d(width)
        self.head = nn.Linear(width, num_classes)

    def forward(self, image: Any) -> Any:
        """(1, channels, height, width) to (1, classes)."""
        return self.head(self.norm(self.stem(image)).mean((2, 3)))


class ReadsItsWeights(Pictures):
    """It cannot be built without values."""

    def __init__(self) -> None:
        super().__init__()
        self.stem.weight.sum().item()


@pytest.fixture
def timm(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """A stand-in with two models; asking it for trained weights fails the test."""
    made: Any = ModuleType("timm")
    known = {"pictures": Pictures, "reads": ReadsItsWeights}

    def create_model(name: str, pretrained: bool = False, checkpoint_path: str = "", **options: Any) -> Any:
        assert not pretrained and not checkpoint_path
        return known[name](**options)

    made.create_model, made.is_model, made.list_models = create_model, known.__contains__, lambda: list(known)
    monkeypatch.setitem(sys.modules, "timm", made)
    return made


@pytest.fixture
def torchvision(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """A stand-in whose models would fetch weights unless told not to."""
    made: Any = ModuleType("torchvision.models")

    def plain(*, weights: Any = "DEFAULT", **_: Any) -> nn.Module:
        assert weights is None
        return of_torchvision("resnet", nn.Conv2d(3, 4, 3))

    def detector(*, weights: Any = "DEFAULT", weights_backbone: Any = "DEFAULT") -> nn.Module:
        assert weights is None and weights_backbone is None
        return of_torchvision("detection.faster_rcnn", nn.Conv2d(3, 4, 3))

    known = {"resnet18": plain, "fasterrcnn": detector}
    made.list_models, made.get_model_builder = lambda: list(known), known.__getitem__
    monkeypatch.setitem(sys.modules, "torchvision", ModuleType("torchvision"))
    monkeypatch.setitem(sys.modules, "torchvision.models", made)
    return made


def of_torchvision(module: str, *layers: nn.Module, name: str = "Net", **attributes: Any) -> nn.Module:
    """A module whose class says that it is of `torchvision.models`."""
    kind: Any = type(name, (nn.Sequential,), {"__module__": f"torchvision.models.{module}"})
    made: nn.Module = kind(*layers)
    for key, value in attributes.items():
        setattr(made, key, value)
    return made


# Images for modules in hand


@pytest.mark.parametrize(
    ("model", "shape"),
    [
        (Pictures(), (1, 3, 32, 48)),
        (Pictures(in_chans=1), (1, 1, 32, 48)),  # built for other images than its description says
        (of_torchvision("resnet", nn.Conv2d(3, 4, 3)), (1, 3, 224, 224)),
        (of_torchvision("vision_transformer", nn.Conv2d(3, 4, 3), image_size=32), (1, 3, 32, 32)),
        (of_torchvision("video.resnet", nn.Conv3d(3, 4, 3), name="VideoResNet"), (1, 3, 16, 112, 112)),
        (of_torchvision("video.s3d", nn.Conv3d(3, 4, 3)), (1, 3, 16, 224, 224)),
    ],
    ids=["timm", "one channel", "torchvision", "its size", "video", "large video"],
)
def test_a_vision_model_gets_an_image(model: nn.Module, shape: tuple[int, ...]) -> None:
    """Of the size it says, with the channels its first convolution takes; traced, and nothing to say."""
    session = surgery.open(model)
    assert [tuple(tensor.shape) for tensor in session.opened.inputs] == [shape]
    assert session.opened.guessed
    assert session.graph.problem is None and session.graph.calls and session.note is None


def test_the_size_a_model_was_built_for_goes_before_its_description() -> None:
    """Timm keeps the description of the trained model."""
    model: Any = Pictures()
    model.patch_embed = nn.Identity()
    model.patch_embed.img_size = (64, 64)
    assert surgery.open(model).opened.inputs[0].shape == (1, 3, 64, 64)


def test_a_stem_that_stacks_pixels_is_no_channel_count() -> None:
    """Sixteen times three channels after pixels were folded are still images of three."""
    model: Any = Pictures(in_chans=48)
    assert surgery.open(model).opened.inputs[0].shape == (1, 3, 32, 48)


def test_flow_gets_two_images_and_detection_a_list() -> None:
    """As their forwards take them."""
    flow = surgery.open(of_torchvision("optical_flow.raft", nn.Conv2d(3, 4, 3))).opened.inputs
    assert [tensor.shape for tensor in flow] == [(1, 3, 224, 224)] * 2
    (images,) = surgery.open(of_torchvision("detection.ssd", nn.Conv2d(3, 4, 3))).opened.inputs
    assert [tensor.shape for tensor in images] == [(3, 224, 224)]


# Models by name


@pytest.mark.parametrize("name", ["timm:pictures", "torchvision:resnet18", "torchvision:fasterrcnn"])
def test_a_model_by_name_has_random_weights_and_says_so(
    timm: ModuleType, torchvision: ModuleType, name: str
) -> None:
    """Nothing is fetched. They are the same each time, so that a script replays."""
    session = surgery.open(name)
    assert session.opened.source == name and not session.model.training
    assert str(session.note).startswith("Its weights are random")
    assert surgery.replay(session.script).fingerprint() == session.fingerprint()


@pytest.mark.parametrize("name", ["timm:pictures", "timm:reads", "torchvision:resnet18"])
def test_a_skeleton_by_name(timm: ModuleType, torchvision: ModuleType, name: str) -> None:
    """No weights and no note, also for a model that reads its weights while it is built."""
    session = surgery.open(name, skeleton=True)
    assert session.is_skeleton and session.note is None
    assert all(parameter.is_meta for parameter in session.model.parameters())


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("timm:picture", "no model is called so. Try: `timm:pictures`"),
        ("timm:hf-hub:someone/model", "no model is called so"),
        ("torchvision:resnet", "no model is called so. Try: `torchvision:resnet18`"),
    ],
)
def test_an_unknown_name(timm: ModuleType, torchvision: ModuleType, name: str, sentence: str) -> None:
    """The nearest is named; a scheme that would fetch something is no name."""
    with pytest.raises(SurgeryError, match=sentence):
        surgery.open(name)


@pytest.mark.parametrize("library", ["timm", "torchvision"])
def test_a_library_that_is_not_installed(monkeypatch: pytest.MonkeyPatch, library: str) -> None:
    """The command that installs it is the hint."""
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(SurgeryError, match=rf"{library}:resnet18: .*Try: `pip install {library}`"):
        surgery.open(f"{library}:resnet18")


# Folders of timm


@pytest.fixture
def pictures(tmp_path: Path, timm: ModuleType) -> Callable[..., Path]:
    """`pictures(num_classes=4)`: a folder with this model as timm saves it, its config changed as told."""

    def write(*, model_args: Any = None, **options: Any) -> Path:
        torch.manual_seed(1)
        args = model_args if isinstance(model_args, dict) else {}
        sizes = {key: value for key, value in args.items() if key == "width"}
        save_file(Pictures(**options, **sizes).state_dict(), tmp_path / "model.safetensors")
        config = {"architecture": "pictures", "pretrained_cfg": CFG, "model_args": model_args, **options}
        (tmp_path / "config.json").write_text(json.dumps(config))
        return tmp_path

    return write


@pytest.mark.parametrize("options", [{}, {"num_classes": 4}, {"model_args": {"width": 6}}])
def test_a_folder_of_timm(pictures: Callable[..., Path], options: dict[str, Any]) -> None:
    """Its architecture with its weights and its classes; a script made on it replays."""
    folder = pictures(**options)
    session = surgery.open(folder)
    assert session.model.head.out_features == options.get("num_classes", 10)  # type: ignore[union-attr]
    torch.manual_seed(1)
    width = options.get("model_args", {}).get("width", 4)
    same = Pictures(options.get("num_classes", 10), width=width).state_dict()
    assert all(torch.equal(value, same[name]) for name, value in session.model.state_dict().items())
    assert session.graph.problem is None and session.note is None and not session.model.training
    assert surgery.replay(session.script).fingerprint() == session.fingerprint()
    assert surgery.open(folder, skeleton=True).is_skeleton


def test_a_folder_of_timm_without_weights(pictures: Callable[..., Path]) -> None:
    """A skeleton, which says so; weights that do not fit are named."""
    folder = pictures()
    save_file({"stem.weight": torch.zeros(1)}, folder / "model.safetensors")
    with pytest.raises(SurgeryError, match=r"stem\.weight: does not fit the model"):
        surgery.open(folder)
    (folder / "model.safetensors").unlink()
    assert "The folder holds no weights" in str(surgery.open(folder).note)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"architecture": "hf-hub:someone/model"}, "no model is called so"),
        (
            {"model_args": {"checkpoint_path": "x.pt"}},
            "sets what a model does not decide; got checkpoint_path",
        ),
        ({"model_args": {"pretrained": True}}, "sets what a model does not decide; got pretrained"),
        ({"model_args": [1]}, "model_args is no object; got list"),
        ({"model_args": {"depth": 3}}, "unexpected keyword argument 'depth'"),
    ],
)
def test_a_config_of_timm_fetches_and_unpickles_nothing(
    pictures: Callable[..., Path], change: dict[str, Any], sentence: str
) -> None:
    """It decides the model's own options and nothing else."""
    folder = pictures()
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | change))
    with pytest.raises(SurgeryError, match=sentence):
        surgery.open(folder)
