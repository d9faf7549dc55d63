"""Fewer channels: the narrowed network is the original with what reads the lost channels set to zero."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import surgery
from graph.coupling import couple
from surgery import SurgeryError
from surgery.checkpoint.manifest import read_manifest
from surgery.demo.classifiers import DigitsCnn, example_images
from tests.surgery.contract import MODELS, Case, holds
from tests.surgery.states import loads_again, run, untouched
from tests.zoo import ATLAS
from tests.zoo.channels import CHANNELS
from tests.zoo.convolutions import whole_resnet18

HALF = {"targets": "**", "units": "channels", "ratio": 0.5}
Reader = tuple[str, int, Callable[[int], list[int]]]


def at(start: int = 0) -> Callable[[int], list[int]]:
    """Channel c is read at `start + c`."""
    return lambda channel: [start + channel]


def zeroed(model: nn.Module, gone: list[int], readers: list[Reader]) -> nn.Module:
    """A copy whose weights that read the channels `gone` are zero; `readers` were written by hand."""
    made = copy.deepcopy(model)
    with torch.no_grad():
        for name, dim, places in readers:
            for channel in gone:
                for place in places(channel):
                    made.get_parameter(name).select(dim, place).zero_()
    return made


BY_HAND: dict[str, tuple[str, str, int, list[Reader]]] = {
    "inside a residual block": (
        "resnet18", "layer2.1.conv1", 8, [("layer2.1.conv2.weight", 1, at())],
    ),
    "a residual stream": (
        "resnet18", "layer3.0.conv2, layer3.0.downsample.0, layer3.1.conv2", 16,
        [("layer3.1.conv1.weight", 1, at()), ("layer4.0.conv1.weight", 1, at()),
         ("layer4.0.downsample.0.weight", 1, at())],
    ),
    "carried across and concatenated": (
        "unet", "down.0.2", 4, [("down.1.0.weight", 1, at()), ("up.1.0.weight", 1, at())],
    ),
    "a transposed convolution behind another in a concatenation": (
        "unet", "rise.1", 4, [("up.1.0.weight", 1, at(4))],
    ),
    "read by a transposed convolution": ("unet", "middle.2", 16, [("rise.0.weight", 0, at())]),
    "depthwise, squeezed and excited": (
        "mobilenet", "blocks.0.expand, blocks.0.depthwise, blocks.0.excite", 12,
        [("blocks.0.project.weight", 1, at()), ("blocks.0.squeeze.weight", 1, at())],
    ),
    "concatenated again and again": (
        "densenet", "layers.0", 6,
        [("layers.1.weight", 1, at(4)), ("layers.2.weight", 1, at(4)), ("head.weight", 1, at(4))],
    ),
    "flattened": (
        "flat", "second", 8,
        [("fc1.weight", 1, lambda channel: list(range(channel * 16, channel * 16 + 16)))],
    ),
    "flattened channels last": (
        "flat", "first", 6,
        [("second.weight", 1, at()), ("fc2.weight", 1, lambda channel: list(range(channel, 384, 6)))],
    ),
    "groups of two and three that meet": (
        "grouped", "stem, grouped, up", 2,
        [("plain.weight", 0, lambda unit: list(range(unit * 12, unit * 12 + 12)))],
    ),
    "taken apart in halves": (
        "halves", "stem, inner", 6,
        [("mix.weight", 1, lambda channel: [channel, channel + 6, channel + 12]),
         ("inner.weight", 1, at())],
    ),
    "gated by its other half": ("halves", "mix", 8, [("wide.weight", 1, at())]),
    "shuffled into pixels": ("halves", "wide", 4, [("head.weight", 1, at())]),
    "called twice": ("shared", "stem, again", 8, [("again.weight", 1, at()), ("left.weight", 1, at())]),
    "one weight at two paths": ("shared", "left, right", 10, [("head.weight", 1, at())]),
}  # fmt: skip
"""What is narrowed: the model, the targets, how many units there are, and who reads them."""


@pytest.mark.parametrize("case", BY_HAND)
def test_what_is_gone_had_been_zero(case: str) -> None:
    """The logits are those of the original whose weights that read these channels are zero, by hand."""
    name, targets, count, readers = BY_HAND[case]
    model, inputs = CHANNELS[name]()
    session = surgery.open(model, inputs)
    kept = [place for place in range(count) if place % 4 in (1, 2)] if count > 2 else [1]
    gone = [place for place in range(count) if place not in kept]
    session.narrow(targets, units="channels", kept=kept)
    made = run(session.model, inputs)
    assert torch.allclose(made, run(zeroed(model, gone, readers), inputs), atol=1e-6, rtol=1e-5)
    assert not torch.allclose(made, run(model, inputs), atol=1e-3)


@pytest.mark.parametrize("name", ["mobilenet", "grouped", "shared"])
def test_contract(name: str, tmp_path: Path) -> None:
    """Half of all channels gone keeps the contract of operations."""
    holds(Case(name, "narrow", HALF), tmp_path)


@pytest.mark.parametrize("name", [*CHANNELS, "cnn"])
def test_saved_exported_and_narrowed_again(name: str, tmp_path: Path) -> None:
    """What is left is an ordinary module: `surgery.load` gives it back, `torch.export` takes it, twice."""
    model, inputs = MODELS[name]()
    session = surgery.open(model, inputs)
    session.narrow(**HALF)
    if name in ("resnet18", "unet", "mobilenet", "densenet"):  # the others have too few groups left
        session.narrow(**HALF)
    loads_again(session, tmp_path / "out", into=MODELS[name]()[0])
    exported = torch.export.export(session.model, (), dict(inputs)).module()
    assert torch.allclose(run(exported, inputs), run(session.model, inputs), atol=1e-6)
    for module in session.model.modules():
        if isinstance(module, nn.Conv2d):
            assert module.weight.shape[:2] == (module.out_channels, module.in_channels // module.groups)
        elif isinstance(module, nn.ConvTranspose2d):
            assert module.weight.shape[:2] == (module.in_channels, module.out_channels // module.groups)
        elif isinstance(module, nn.Linear):
            assert module.weight.shape == (module.out_features, module.in_features)
        elif isinstance(module, nn.BatchNorm2d):
            assert module.running_var is not None
            assert module.running_var.shape == (module.num_features,)


def test_the_largest_stay() -> None:
    """Kept are the channels whose weights, summed over all that belongs to them, have most energy."""
    model, inputs = CHANNELS["mobilenet"]()
    block = model.get_submodule("blocks.1")
    energy = sum(
        getattr(block.get_submodule(path), name).detach().double().square().flatten(1).sum(1)
        if dim == 0
        else block.get_submodule(path).weight.detach().double().square().sum((0, 2, 3))
        for path, name, dim in (
            ("expand.0", "weight", 0),
            ("depthwise", "weight", 0),
            ("excite", "weight", 0),
            ("squeeze", "weight", 1),
            ("project", "weight", 1),
        )
    )
    for path, name in (
        ("expand.1", "weight"), ("expand.1", "bias"), ("depthwise", "bias"),
        ("norm", "weight"), ("norm", "bias"), ("excite", "bias"),
    ):  # fmt: skip
        energy = energy + getattr(block.get_submodule(path), name).detach().double().square()
    kept = energy.topk(12).indices.sort().values  # ⌊0.3 · 16⌋ = 4 go
    session = surgery.open(model, inputs)
    session.narrow("blocks.1.{expand,depthwise,excite}", units="channels", ratio=0.3)
    made = session.model.get_submodule("blocks.1.norm")
    assert torch.equal(made.running_mean, block.norm.running_mean[kept])
    assert torch.equal(made.weight, block.norm.weight[kept])


def test_half_of_resnet18() -> None:
    """The published figures, on a skeleton: 11.69 M parameters and 1.82 GMACs become 3.06 M and 0.49."""
    with torch.device("meta"):
        model = whole_resnet18()
    session = surgery.open(model, {"x": torch.empty(1, 3, 224, 224)}, skeleton=True)
    preview = session.preview("narrow", **HALF)
    assert (preview.before.parameters, preview.after.parameters) == (11_689_512, 3_055_880)
    convolutions_and_linear = (1_814_073_344, 483_149_824)  # torch-pruning adds 4 for each of BatchNorm's
    assert (preview.before.macs_per_token, preview.after.macs_per_token) == convolutions_and_linear


@pytest.mark.parametrize("name", ["resnet18", "unet", "mobilenet", "densenet", "flat"])
def test_shapes_are_those_of_torch_pruning(name: str) -> None:
    """Another implementation, which goes by autograd's graph, halves the same tensors."""
    pruning = pytest.importorskip("torch_pruning")
    model, inputs = CHANNELS[name]()
    session = surgery.open(model, inputs)
    session.narrow(**HALF)
    ends = {"resnet18": ["fc"], "unet": ["out"], "mobilenet": ["head"], "densenet": ["head"]}
    whole = [model.get_submodule(path) for path in ends.get(name, ["fc1", "fc2", "out"])]
    example = next(iter(inputs.values()))
    importance = pruning.importance.MagnitudeImportance(p=2)
    pruner = pruning.pruner.MagnitudePruner(
        model, example, importance=importance, pruning_ratio=0.5, ignored_layers=whole
    )
    pruner.step()
    theirs = {key: list(value.shape) for key, value in model.state_dict().items()}
    assert {key: list(value.shape) for key, value in session.model.state_dict().items()} == theirs


def test_transformers_resnet(tmp_path: Path) -> None:
    """Narrowed it runs; its config has one width for a stage, so the folder needs `surgery.load`."""
    model, inputs = ATLAS["resnet"]()
    before = untouched(model)
    session = surgery.open(model, inputs)
    session.narrow("resnet", units="channels", ratio=0.5)
    assert run(session.model, inputs).shape == run(model, inputs).shape
    loads_again(session, tmp_path / "out")
    assert read_manifest(tmp_path / "out")["loads_with"] == "surgery.load"
    assert untouched(model) == before


def test_training_mode_stays() -> None:
    """A model in training keeps its mode and statistics, and the narrowed one trains."""
    model, inputs = CHANNELS["resnet18"]()
    model.train()
    before = untouched(model)
    session = surgery.open(model, inputs)
    session.narrow(**HALF)
    assert session.model.training
    session.model(**inputs).sum().backward()
    assert untouched(model) == before


def test_ties_stay() -> None:
    """A tied weight, a norm at two paths and its statistics are one object after as before."""
    session = surgery.open(*CHANNELS["shared"]())
    session.narrow(**HALF)
    model: Any = session.model
    assert model.left.weight is model.right.weight
    assert model.left.weight.shape[:2] == (5, 4)
    assert model.norms[0] is model.norms[1] is model.norm
    assert model.norm.running_mean.shape == (5,)


def test_channels_under_adapters_say_so() -> None:
    """What PEFT's types compute is not followed: folded in they are channels again."""
    session = surgery.open(*CHANNELS["flat"]())
    session.attach("**:Conv2d", "peft:loha", rank=2)
    with pytest.raises(SurgeryError, match=r"is under an adapter.*Try: `fold\("):
        session.narrow("**", units="channels", ratio=0.3)
    session.fold()
    session.narrow("**", units="channels", ratio=0.3)


def test_adapters_are_narrowed_with_their_layer() -> None:
    """Folded before or after, the narrowed weights are the same."""
    session = surgery.open(*CHANNELS["flat"]())
    session.attach("fc1", "lora", rank=2)
    nn.init.normal_(session.model.fc1.lora_B)
    session.narrow("second", units="channels", kept=[0, 2, 5])
    assert session.model.fc1.in_features == 48
    session.fold("fc1")
    after = session.model.fc1.weight
    session.goto(1)
    session.fold("fc1")
    session.narrow("second", units="channels", kept=[0, 2, 5])
    assert torch.allclose(session.model.fc1.weight, after, atol=1e-6)


def _rows(graph: Any) -> dict[str, int]:
    return {group.places[0].path: group.count for group in graph}


class _Careful(nn.Module):
    """Channels that only look free."""

    def __init__(self, way: Callable[[torch.Tensor], torch.Tensor]) -> None:
        super().__init__()
        self.first, self.last = nn.Conv2d(3, 8, 1), nn.Conv2d(8, 2, 1)
        self.way = way

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.last(self.way(self.first(x)))


@pytest.mark.parametrize(
    "way",
    [
        lambda x: x * x.mean(1, keepdim=True),
        lambda x: x.softmax(1),
        lambda x: F.layer_norm(x, x.shape[1:]),
        lambda x: F.channel_shuffle(x, 2),
        lambda x: x.view(2, 2, 4, 8, 8).transpose(1, 2).reshape(2, 8, 8, 8),
        lambda x: x.flip(1),
        lambda x: x + torch.arange(8.0).view(8, 1, 1),
        lambda x: torch.cat([x[:, 3:], x[:, :3]], 1),
        lambda x: F.local_response_norm(x, 3),
        lambda x: x.sort(1).values,
        lambda x: F.group_norm(x, 1),
    ],
)
def test_channels_that_look_at_each_other_stay(way: Callable[[torch.Tensor], torch.Tensor]) -> None:
    """Nothing is cut where the others would no longer compute what they did, or nobody knows."""
    torch.manual_seed(0)
    session = surgery.open(_Careful(way).eval(), (torch.randn(2, 3, 8, 8),))
    with pytest.raises(SurgeryError, match="has no channels that narrow knows how to take apart"):
        session.narrow("**", units="channels", ratio=0.5)


@pytest.mark.parametrize(
    "way",
    [
        lambda x: x / x.shape[1] ** 0.5,
        lambda x: x if x.shape[1] > 6 else x.relu(),
        lambda x: torch.add(x, x, alpha=x.size(1)),
    ],
)
def test_channels_that_are_counted_stay(way: Callable[[torch.Tensor], torch.Tensor]) -> None:
    """A forward that computes with their number would compute something else."""
    session = surgery.open(_Careful(way).eval(), (torch.randn(2, 3, 8, 8),))
    with pytest.raises(SurgeryError, match="computes with the number of channels"):
        session.narrow("**", units="channels", ratio=0.5)


def test_chunks_of_a_fixed_size_are_refused() -> None:
    """They would no longer be halves."""

    def halves(x: torch.Tensor) -> torch.Tensor:
        one, other = x.split(4, 1)
        return torch.cat([other, one], 1)

    session = surgery.open(_Careful(halves).eval(), (torch.randn(2, 3, 8, 8),))
    with pytest.raises(SurgeryError, match="the forward would fail here"):
        session.narrow("first", units="channels", ratio=0.5)


def test_one_end_of_a_stream_is_refused() -> None:
    """By name, with those that write the same channels."""
    session = surgery.open(*CHANNELS["resnet18"]())
    with pytest.raises(SurgeryError, match=r"layer1.0.conv2: its channels are also those of .*; got conv1"):
        session.narrow("layer1.0.conv2", units="channels", ratio=0.5)
    session.narrow("layer1", units="channels", ratio=0.5)  # what is inside alone; the stream stays
    widths = [session.model.get_submodule(f"layer1.{path}").out_channels for path in ("0.conv1", "0.conv2")]
    assert widths == [2, 4]


def test_outputs_and_inputs_stay() -> None:
    """The classes of the last layer and the colours of the image are nobody's to cut."""
    session = surgery.open(*CHANNELS["unet"]())
    with pytest.raises(SurgeryError, match="has no channels that narrow knows how to take apart"):
        session.narrow("out", units="channels", ratio=0.5)


def test_convnext_is_refused() -> None:
    """A LayerNorm over the channels joins all of a stage."""
    session = surgery.open(*ATLAS["convnext"]())
    with pytest.raises(SurgeryError, match="has no channels that narrow knows how to take apart"):
        session.narrow("**", units="channels", ratio=0.5)


def test_without_inputs() -> None:
    """Nothing shows which channels hang together; a step that knows needs none."""
    model, inputs = CHANNELS["flat"]()
    session = surgery.open(model)
    with pytest.raises(SurgeryError, match="no example inputs"):
        session.narrow(**HALF)
    other = surgery.open(model, inputs)
    other.narrow(**HALF)
    session.apply(surgery.Script.from_json(other.script.to_json()).steps[0])
    assert torch.equal(run(session.model, inputs), run(other.model, inputs))


def test_a_script_of_another_network_is_refused() -> None:
    """What hangs together is recorded, and compared where it can be found."""
    session = surgery.open(*CHANNELS["flat"]())
    session.narrow(**HALF)
    step = session.steps[0]
    model, inputs = CHANNELS["flat"]()
    model.first = nn.Conv2d(3, 6, 3, padding=1, groups=3)  # type: ignore[assignment]
    with pytest.raises(SurgeryError, match="hang together in another way"):
        surgery.open(model, inputs).apply(step)
    with pytest.raises(SurgeryError, match="is not what narrow writes"):
        surgery.open(model).narrow(**HALF, found=[{"count": 3}])
    with pytest.raises(SurgeryError, match=r"first\.weight: narrow was .* of another shape"):
        surgery.open(model).narrow(**HALF, found=[{"count": 7, "places": [["first.weight", 0, [[0, 1]]]]}])
    with pytest.raises(SurgeryError, match="found belongs to channels"):
        surgery.open(model).narrow("**", ratio=0.5, found=[])


def test_the_demonstration(tmp_path: Path) -> None:
    """The trained classifier without a quarter of its inner channels still runs and reloads."""
    session = surgery.open("demo-cnn")
    inputs = (example_images(),)
    before = run(session.model, inputs)
    session.narrow("**.conv1", units="channels", ratio=0.25)
    assert run(session.model, inputs).shape == before.shape
    assert session.graph["stage1.0.conv1"].tensors[0].shape[0] == 6
    session.save(tmp_path / "out")
    loaded = surgery.load(tmp_path / "out", into=DigitsCnn())
    assert torch.equal(run(loaded, inputs), run(session.model, inputs))


def test_couple_says_which_places() -> None:
    """The groups of a small network, in the order of the tree."""
    model, inputs = CHANNELS["flat"]()
    groups = couple(model, inputs).groups
    assert _rows(groups) == {"first.weight": 6, "second.weight": 8, "fc1.weight": 10}
    assert [(place.path, place.dim, place.sections) for place in groups[1].places] == [
        ("second.weight", 0, ((0, 1),)),
        ("second.bias", 0, ((0, 1),)),
        ("fc1.weight", 1, ((0, 16),)),
    ]
