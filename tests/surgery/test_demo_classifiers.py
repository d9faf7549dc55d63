"""The demonstration classifiers read digits they never saw, and taking out any block costs something."""

import copy
import hashlib
import math
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import surgery
from graph.extract import extract
from graph.flow import inside
from graph.repeats import runs
from surgery import SurgeryError
from surgery.demo import CNN, VIT, cnn, vit
from surgery.demo.classifiers import DigitsCnn
from surgery.demo.digits import digits, is_held_out
from surgery.demo.train_cnn import SCHEDULE, write
from surgery.demo.training import held_out_accuracy, logits_of, moved, trained
from tests.surgery.states import untouched

MODELS: dict[str, Callable[[], nn.Module]] = {"demo-cnn": lambda: cnn()[0], "demo-vit": lambda: vit()[0]}
BLOCKS = {
    "demo-cnn": {"stage1": 3, "stage2": 2},
    "demo-vit": {"vit.layers": 6},
}
EVERY_BLOCK = [
    (name, f"{path}.{index}")
    for name, lists in BLOCKS.items()
    for path, count in lists.items()
    for index in range(count)
]
both = pytest.mark.parametrize("name", MODELS)


def without(model: nn.Module, path: str) -> nn.Module:
    """A copy of `model` whose block at `path` is gone."""
    made = copy.deepcopy(model)
    parent, _, index = path.rpartition(".")
    blocks = made.get_submodule(parent)
    assert isinstance(blocks, nn.Sequential | nn.ModuleList)
    del blocks[int(index)]
    return made


@cache
@torch.no_grad()
def measured(name: str, gone: str | None = None) -> tuple[float, torch.Tensor]:
    """Held-out accuracy and each image's cross-entropy (n,), without the block at `gone`."""
    model = MODELS[name]()
    images, labels = digits(held_out=True)
    logits = logits_of(without(model, gone) if gone else model, images)
    right = (logits.argmax(-1) == labels).float().mean().item()
    return right, F.cross_entropy(logits, labels, reduction="none")


# The images


def test_the_split_is_fixed() -> None:
    """One image in four is held out, the same ones everywhere, with all ten digits in both parts."""
    (train, trained_on), (test, held) = digits(held_out=False), digits(held_out=True)
    assert (train.shape, test.shape) == ((1361, 1, 8, 8), (436, 1, 8, 8))
    assert (train.dtype, trained_on.dtype) == (torch.float32, torch.int64)
    assert (train.min(), train.max()) == (0, 1)
    assert held.bincount().tolist() == [55, 37, 42, 36, 44, 53, 44, 34, 45, 46]
    pixels = (test * 16).to(torch.uint8).numpy().tobytes()
    assert (
        hashlib.sha256(pixels).hexdigest()
        == "9be85219f7395aaa15bbe50a901b6d8dedc653ad1607ce2de9e2c101e9e4bcbe"
    )


def test_no_image_is_in_both_parts() -> None:
    """The pixels alone decide, so not even two equal images can be parted."""
    parts = {part: {image.numpy().tobytes() for image in digits(part)[0]} for part in (False, True)}
    assert not parts[False] & parts[True]
    assert [is_held_out(bytes([value] * 64)) for value in range(8)] == [
        False,
        False,
        False,
        False,
        False,
        False,
        True,
        False,
    ]


def test_without_scikit_learn_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error says what to install."""
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    digits.cache_clear()
    with pytest.raises(SurgeryError, match=r"scikit-learn, which can.t be imported .*model-surgery\[demo\]"):
        digits(held_out=True)


def test_images_are_moved_a_little_and_reproducibly() -> None:
    """One seed draws one set of images, other than the originals and of their shape."""
    images = digits(held_out=False)[0][:16]
    first, again = (moved(images, SCHEDULE, torch.Generator().manual_seed(3)) for _ in range(2))
    assert first.shape == images.shape
    assert torch.equal(first, again) and not torch.equal(first, images)
    assert 0.8 < first.sum() / images.sum() < 1.2


# What they know


@both
def test_over_95_percent_of_the_held_out_images(name: str) -> None:
    """Images that neither was trained on."""
    assert measured(name)[0] == held_out_accuracy(MODELS[name]()) > 0.95


@pytest.mark.parametrize(("name", "path"), EVERY_BLOCK)
def test_removing_any_block_is_measurable(name: str, path: str) -> None:
    """Fewer held-out digits are read rightly, and the paired 95 % interval of the loss excludes zero."""
    (whole, before), (cut, after) = measured(name), measured(name, path)
    assert cut < whole - 0.006  # three images of 436
    change = after - before
    assert change.mean() > 1.96 * change.std() / len(change) ** 0.5


# What they are


@pytest.mark.parametrize("folder", [CNN, VIT], ids=["cnn", "vit"])
def test_a_folder_is_small(folder: Path) -> None:
    """Less than 700 kB, and no pickle among its files."""
    files = sorted(folder.iterdir())
    assert sum(file.stat().st_size for file in files) < 700_000
    assert {file.suffix for file in files} == {".json", ".safetensors"}


def test_batchnorm_has_statistics() -> None:
    """Each BatchNorm of the convolutional network counted batches; its mean and variance left 0 and 1."""
    norms = [module for module in cnn()[0].modules() if isinstance(module, nn.BatchNorm2d)]
    assert len(norms) == 2 + 2 * sum(BLOCKS["demo-cnn"].values())
    for norm in norms:
        assert norm.running_mean is not None and norm.running_var is not None
        assert norm.num_batches_tracked is not None and norm.num_batches_tracked > 1000
        assert norm.running_mean.abs().max() > 0.05
        assert (norm.running_var - 1).abs().max() > 0.05


def test_training_writes_what_opens(tmp_path: Path) -> None:
    """A network of one pass is written and read again with the same logits; another seed gives another."""
    short = type(SCHEDULE)(epochs=1, learning_rate=1e-2, weight_decay=0.05, slant=0.2, shift=0.3)
    models = [trained(DigitsCnn, short, seed) for seed in (0, 0, 1)]
    images = digits(held_out=True)[0]
    with torch.no_grad():
        first, again, other = (model(images) for model in models)
        write(models[0], tmp_path)
        read = surgery.open(tmp_path / "model.safetensors", into=DigitsCnn()).model(images)
    assert torch.equal(first, again) and torch.equal(first, read)
    assert not torch.allclose(first, other, atol=0.1)


# Under surgery


@both
def test_opens_by_name(name: str) -> None:
    """With example inputs, so that its graph is whole; twice the same fingerprint; also without weights."""
    session = surgery.open(name)
    assert (session.opened.name, session.base.source) == (name, name)
    assert session.graph.problem is None and session.graph.calls and session.note is None
    assert session.base.fingerprint == surgery.open(name).base.fingerprint
    skeleton = surgery.open(name, skeleton=True)
    assert skeleton.is_skeleton and len(skeleton.graph.calls) == len(session.graph.calls)


@both
def test_blocks_fold_and_residuals_show(name: str) -> None:
    """The graph folds each list of blocks into a run, and in a block data goes round to an addition."""
    model, inputs = cnn() if name == "demo-cnn" else vit()
    graph = extract(model, inputs)
    assert graph.problem is None
    folded = {run.parent: len(run.paths) for run in runs(graph)}
    assert {parent: folded[parent] for parent in BLOCKS[name]} == BLOCKS[name]
    for parent in BLOCKS[name]:
        block = inside(graph, f"{parent}.1")
        around = [edge for edge in block.edges if edge.residual]
        joins = {node.id for node in block.nodes if node.kind == "join"}
        assert around and {edge.target for edge in around} <= joins


def test_a_block_is_removed_and_comes_back() -> None:
    """The session costs what the edit by hand costs, the opened network stays, and undo restores it."""
    session = surgery.open("demo-cnn")
    before, whole = untouched(session.opened.model), held_out_accuracy(session.model)
    session.remove("stage2[1]")
    assert len(session.model.get_submodule("stage2")) == 1
    cut = held_out_accuracy(session.model)
    assert cut == held_out_accuracy(without(cnn()[0], "stage2.1")) < whole
    session.undo()
    assert held_out_accuracy(session.model) == whole
    assert untouched(session.opened.model) == before


def test_a_script_on_the_network_replays(tmp_path: Path) -> None:
    """By the name in the script alone, from a file, to the same fingerprint."""
    session = surgery.open("demo-cnn")
    session.remove("stage1[2]")
    session.script.write(tmp_path / "edits.surgery.json")
    replayed = surgery.replay(tmp_path / "edits.surgery.json")
    assert replayed.base == session.base
    assert replayed.fingerprint() == session.fingerprint() != session.base.fingerprint


def test_a_saved_network_loads_into_its_class(tmp_path: Path) -> None:
    """Logits and running statistics come back; without the class, the error says how."""
    session = surgery.open("demo-cnn")
    session.remove("stage1[1]")
    folder = session.save(tmp_path / "cut")
    with pytest.raises(SurgeryError, match="is a DigitsCnn, which only its own code can make"):
        surgery.load(folder)
    loaded, images = surgery.load(folder, into=DigitsCnn()), digits(held_out=True)[0]
    with torch.no_grad():
        assert torch.equal(loaded(images), session.model(images))


def test_the_transformer_saves_as_transformers_writes(tmp_path: Path) -> None:
    """Its folder opens again, with the same content."""
    session = surgery.open("demo-vit")
    folder = session.save(tmp_path / "vit")
    assert surgery.open(folder).fingerprint() == session.fingerprint()


@both
def test_evaluation_measures_accuracy_on_held_out_digits(name: str) -> None:
    """All of them, as counted by hand; fidelity beside it, and said not to be the user's data."""
    session = surgery.open(name)
    path = EVERY_BLOCK[2][1] if name == "demo-cnn" else "vit.layers.1"
    session.remove(path)
    report = session.evaluate(budget_s=math.inf)
    accuracy = report["accuracy"]
    assert (accuracy.before, accuracy.after) == (
        pytest.approx(100 * measured(name)[0]),
        pytest.approx(100 * measured(name, path)[0]),
    )
    assert 0 < report["agreement"].value < 100 and report["KL"].value > 0 and "perplexity" not in report
    assert "scikit-learn's digits, held out: not your data; 436 images" in str(report)
