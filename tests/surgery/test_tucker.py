"""Convolutions taken apart into three: what they compute, their ranks, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

import surgery
from surgery import SurgeryError
from surgery.charts import Curves
from surgery.modules.tucker import TuckerConv2d
from tests.surgery.states import run
from tests.zoo import ATLAS, ZOO


def ranks(session: surgery.Session) -> dict[str, tuple[int, int]]:
    """Of every convolution that is three r and s, by path."""
    return {
        path: (module.core.out_channels, module.core.in_channels)
        for path, module in session.model.named_modules()
        if isinstance(module, TuckerConv2d)
    }


def dense(module: TuckerConv2d) -> torch.Tensor:
    """The weight of the one convolution that the three are."""
    first, core, last = (item.weight.detach() for item in (module.first, module.core, module.last))
    return torch.einsum("or,rshw,si->oihw", last.flatten(1), core, first.flatten(1))


@pytest.mark.parametrize("mode", ["zeros", "circular", "reflect"])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("bias", [True, False])
def test_the_three_compute_what_one_of_their_product_does(mode: Any, stride: int, bias: bool) -> None:
    """Borders too: with a stride, a dilation, and every way to pad."""
    torch.manual_seed(0)
    settings: dict[str, Any] = {"stride": stride, "padding": 2, "dilation": 2, "padding_mode": mode}
    module = nn.Sequential(nn.Conv2d(8, 6, 3, bias=bias, **settings)).double()
    image = torch.randn(2, 8, 9, 9, dtype=torch.float64)
    session = surgery.open(module, (image,))
    session.tucker("0", ranks=(3, 4))
    made = session.model.get_submodule("0")
    assert isinstance(made, TuckerConv2d) and ranks(session) == {"0": (3, 4)}
    plain = nn.Conv2d(8, 6, 3, bias=bias, **settings).double()
    plain.weight = nn.Parameter(dense(made))
    plain.bias = module[0].bias
    assert torch.allclose(run(session.model, (image,)), plain(image), atol=1e-12)


def test_one_side_may_stay_whole() -> None:
    """With s = all inputs and a kernel that is one matrix along outputs, the error is the tail of σ²."""
    torch.manual_seed(0)
    module = nn.Sequential(nn.Conv2d(4, 40, 3)).double()
    session = surgery.open(module, (torch.randn(1, 4, 5, 5, dtype=torch.float64),))
    session.tucker("0", ranks=(5, 4))
    made: Any = session.model.get_submodule("0")
    sizes = torch.linalg.svdvals(module[0].weight.detach().flatten(1))
    error = (module[0].weight.detach() - dense(made)).square().sum()
    assert torch.allclose(error, sizes[5:].square().sum(), atol=1e-12)


def test_each_side_keeps_its_energy() -> None:
    """By torch's own singular values of the weight unfolded along outputs and along inputs."""
    session = surgery.open(*ZOO["cnn"]())
    weight = session.model.get_parameter("stage2.2.conv1.weight").detach().double()
    expected = []
    for matrix in (weight.flatten(1), weight.movedim(1, 0).flatten(1)):
        kept = torch.linalg.svdvals(matrix).square().cumsum(0)
        expected.append(int((kept < 0.4 * kept[-1]).sum()) + 1)
    session.tucker("stage2[2].conv1", energy=0.4)
    assert list(ranks(session).values()) == [tuple(expected)]


def test_ranks_are_at_most_the_channels_and_no_smaller_one_stays() -> None:
    """The stem has 3 inputs; a convolution of which three are no smaller is left alone."""
    session = surgery.open(*ZOO["cnn"]())
    session.tucker("stem[0], stage1[0].conv2", ranks=(7, 7))
    assert ranks(session) == {"stage1.0.conv2": (7, 7)}
    session.undo()
    session.tucker("stem[0], stage1[0].conv2", ranks=(2, 5))
    assert ranks(session) == {"stem.0": (2, 3), "stage1.0.conv2": (2, 5)}


def test_before_it_is_measured_a_preview_promises_no_macs() -> None:
    """With a stride the first of the three works on the larger image: MACs may grow."""
    session = surgery.open(*ZOO["cnn"]())
    preview = session.preview("tucker", "**.conv2", energy=0.4)
    assert preview.bounds == {"parameters", "size_bytes"}
    step = session.tucker("**.conv2", energy=0.4).step
    after = sum(item.numel() for item in session.model.parameters())
    session.undo()
    assert session.preview(step).after.parameters == after < preview.after.parameters


def test_it_works_inside_other_models() -> None:
    """A residual network and a U-Net of other hands: the model runs, is smaller, and comes back."""
    for name, targets in (("resnet18", "**.conv2"), ("unet", "**:Conv2d"), ("resnet", "**.convolution")):
        model, inputs = ATLAS[name]()
        session = surgery.open(model, inputs)
        large = [
            path
            for path, module in session.model.named_modules()
            if isinstance(module, nn.Conv2d) and module.kernel_size == (3, 3) and module.groups == 1
        ]
        before, output = sum(item.numel() for item in session.model.parameters()), run(session.model, inputs)
        session.tucker(large or targets, ranks=(2, 2))
        assert sum(item.numel() for item in session.model.parameters()) < before
        found = run(session.model, inputs)
        tensor = found if isinstance(found, torch.Tensor) else next(iter(found.values()))
        assert torch.isfinite(tensor).all()
        session.undo()
        again = run(session.model, inputs)
        if isinstance(output, torch.Tensor):
            assert torch.equal(again, output)


def test_channels_are_narrowed_through_the_three() -> None:
    """What is beside them loses channels as before."""
    model, inputs = ZOO["cnn"]()
    session = surgery.open(model, inputs)
    session.tucker("stage2[2].conv2", ranks=(4, 4))
    session.narrow("stage2[2].conv1", "channels", ratio=0.5)
    made: Any = session.model.get_submodule("stage2.2.conv2")
    assert made.first.in_channels == 8
    assert torch.isfinite(run(session.model, inputs)).all()


def test_the_chart_shows_both_sides() -> None:
    """Of two convolutions at most: four lines are as many as there is room for."""
    session = surgery.open(*ZOO["cnn"]())
    chart = session.chart("tucker", "**.conv2", ranks=(4, 4))
    assert isinstance(chart, Curves)
    assert [name.split()[1] for name in chart.lines] == ["outputs", "inputs"] * 2
    path, line = next(iter(chart.lines.items()))
    weight = session.model.get_parameter(f"{path.split()[0]}.weight").detach()
    sizes = torch.linalg.svdvals(weight.flatten(1).double()).square()
    assert dict(line)[2] == pytest.approx(float(sizes[:2].sum() / sizes.sum()))


def tied() -> nn.Module:
    """Two convolutions with one weight."""
    module = nn.Sequential(nn.Conv2d(8, 8, 3), nn.Conv2d(8, 8, 3))
    module[1].weight = module[0].weight
    return module


def broken() -> nn.Module:
    """A weight that is no number."""
    module = nn.Sequential(nn.Conv2d(8, 8, 3))
    nn.init.constant_(module[0].weight, torch.nan)
    return module


def test_tied_weights_get_tied_factors() -> None:
    """Where both are among the targets."""
    session = surgery.open(tied(), (torch.randn(1, 8, 9, 9),))
    session.tucker("[*]", ranks=(2, 2))
    one, two = (session.model.get_submodule(name) for name in "01")
    weights = [[item.weight for item in (made.first, made.core, made.last)] for made in (one, two)]  # type: ignore[union-attr]
    assert all(mine is other for mine, other in zip(*weights, strict=True))


class Own(nn.Conv2d):
    """Not a convolution alone."""

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        return super().forward(input).relu()


def conv(*sizes: int, **settings: Any) -> Callable[[], nn.Module]:
    """A convolution in a model."""
    return lambda: nn.Sequential(nn.Conv2d(*sizes, **settings))


REFUSED: dict[str, tuple[Callable[[], nn.Module], str, dict[str, Any], str, str]] = {
    "a linear layer": (
        lambda: nn.Sequential(nn.Linear(8, 8)),
        "0",
        {"ranks": (2, 2)},
        "0: is no convolution",
        "**:Conv2d",
    ),
    "groups": (conv(8, 8, 3, groups=4), "0", {"ranks": (2, 2)}, "0: .* in groups, .*; got 4 groups", ""),
    "one by one": (conv(8, 8, 1), "0", {"ranks": (2, 2)}, "0: is a matrix", 'low_rank("0", …)'),
    "a tie": (tied, "0", {"ranks": (2, 2)}, "0: its weight is tied .*1.weight", "untie"),
    "a forward of its own": (lambda: nn.Sequential(Own(8, 8, 3)), "0", {"ranks": (2, 2)}, "of its own", ""),
    "the whole model": (lambda: nn.Conv2d(8, 8, 3), "", {"ranks": (2, 2)}, "one Conv2d", "Sequential"),
    "no ranks": (conv(8, 8, 3), "0", {}, "either two ranks", "ranks=(16, 16)"),
    "one rank": (conv(8, 8, 3), "0", {"ranks": (2,)}, r"ranks \[2\]", ""),
    "both": (conv(8, 8, 3), "0", {"ranks": (2, 2), "energy": 0.5}, "energy 0.5", ""),
    "too large": (conv(8, 8, 3), "0", {"ranks": (8, 8)}, "no smaller .* 704 weights", "less than 576"),
    "no numbers": (broken, "0", {"energy": 0.5}, "0: has weights that are no numbers", ""),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name: str) -> None:
    """Each by a sentence that names the path and the way out."""
    make, target, fields, sentence, hint = REFUSED[name]
    session = surgery.open(make())
    with pytest.raises(SurgeryError, match=sentence) as caught:
        session.tucker(target, **fields)
    assert hint in str(caught.value)


def test_what_is_three_already_is_refused() -> None:
    """Its core can be taken apart again by its own path."""
    session = surgery.open(*ZOO["cnn"]())
    session.tucker("stage2[2].conv1", ranks=(8, 8))
    with pytest.raises(SurgeryError, match="three convolutions already"):
        session.tucker("stage2[2].conv1", ranks=(2, 2))
    session.tucker("stage2[2].conv1.core", ranks=(2, 2))
