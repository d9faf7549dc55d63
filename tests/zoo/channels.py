"""Convolutional networks whose channels hang together in the ways that people build."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tests.zoo.building import Inputs, Maker
from tests.zoo.convolutions import resnet18, unet


class _Inverted(nn.Module):
    """Expand, filter depthwise, squeeze and excite, project; added to what came in."""

    def __init__(self, width: int, wide: int) -> None:
        super().__init__()
        self.expand = nn.Sequential(nn.Conv2d(width, wide, 1, bias=False), nn.BatchNorm2d(wide), nn.ReLU6())
        self.depthwise = nn.Conv2d(wide, wide, 3, padding=1, groups=wide)
        self.norm = nn.BatchNorm2d(wide)
        self.squeeze, self.excite = nn.Conv2d(wide, 4, 1), nn.Conv2d(4, wide, 1)
        self.project = nn.Conv2d(wide, width, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        y = F.hardswish(self.norm(self.depthwise(self.expand(x))))
        gate = F.hardsigmoid(self.excite(F.silu(self.squeeze(F.adaptive_avg_pool2d(y, 1)))))
        return x + self.project(y * gate)


class _MobileNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 6, 3, stride=2, padding=1)
        self.blocks = nn.Sequential(_Inverted(6, 12), _Inverted(6, 16))
        self.head = nn.Conv2d(6, 5, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.blocks(self.stem(x))).mean((2, 3))


class _Dense(nn.Module):
    """Every layer reads all that came before it."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 3, padding=1)
        self.norms = nn.ModuleList(nn.BatchNorm2d(4 + 6 * place) for place in range(3))
        self.layers = nn.ModuleList(nn.Conv2d(4 + 6 * place, 6, 3, padding=1) for place in range(3))
        self.norm = nn.BatchNorm2d(22)
        self.head = nn.Linear(22, 5)

    def forward(self, x: Tensor) -> Tensor:
        features = [self.stem(x)]
        for norm, layer in zip(self.norms, self.layers, strict=True):
            features.append(layer(F.relu(norm(torch.cat(features, 1)))))
        return self.head(F.relu(self.norm(torch.cat(features, 1))).mean((2, 3)))


class _Flat(nn.Module):
    """Channels and places flattened into a Linear, once channels first and once last."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 6, 3, padding=1)
        self.second = nn.Conv2d(6, 8, 3, stride=2, padding=1)
        self.fc1 = nn.Linear(8 * 16, 10)
        self.fc2 = nn.Linear(6 * 64, 10)
        self.out = nn.Linear(10, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = F.gelu(self.first(x))
        other = self.fc2(x.permute(0, 2, 3, 1).flatten(1))
        x = F.leaky_relu(self.second(x))
        return self.out(torch.tanh(self.fc1(x.view(x.size(0), -1)) + other))


class _Grouped(nn.Module):
    """Groups in convolutions and norms, a transposed depthwise one, PReLU."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 12, 3, padding=1)
        self.norm = nn.GroupNorm(4, 12)
        self.grouped = nn.Conv2d(12, 24, 3, stride=2, padding=1, groups=6)
        self.act = nn.PReLU(24)
        self.up = nn.ConvTranspose2d(24, 24, 2, stride=2, groups=12)
        self.plain = nn.ConvTranspose2d(24, 8, 3, padding=1)
        self.head = nn.Conv2d(8, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.plain(self.up(self.act(self.grouped(self.norm(self.stem(x)))))))


class _Halves(nn.Module):
    """The channels taken apart and put together, gated, shuffled into pixels."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 12, 3, padding=1)
        self.inner = nn.Conv2d(6, 6, 3, padding=1)
        self.mix = nn.Conv2d(18, 16, 1)
        self.wide = nn.Conv2d(8, 16, 3, padding=1)
        self.head = nn.Conv2d(4, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        one, other = self.stem(x).chunk(2, dim=1)
        x = F.glu(self.mix(torch.cat([one, other, one + self.inner(other)], 1)), 1)
        return self.head(F.pixel_shuffle(self.wide(x), 2))


class _Shared(nn.Module):
    """One convolution called twice, one weight in two modules, one norm at two paths."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, padding=1)
        self.again = nn.Conv2d(8, 8, 3, padding=1)
        self.left, self.right = nn.Conv2d(8, 10, 1), nn.Conv2d(8, 10, 1)
        self.right.weight = self.left.weight
        self.norm = nn.BatchNorm2d(10)
        self.norms = nn.ModuleList([self.norm, self.norm])
        self.head = nn.Linear(10, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.again(F.relu(self.again(F.relu(self.stem(x)))))
        return self.head(
            (self.norms[0](self.left(x)) * torch.sigmoid(self.norms[1](self.right(x)))).mean((2, 3))
        )


def _made(cls: Callable[[], nn.Module]) -> tuple[nn.Module, Inputs]:
    torch.manual_seed(0)
    return uneven(cls().eval()), {"x": torch.randn(2, 3, 8, 8)}


def uneven(model: nn.Module) -> nn.Module:
    """The model with norms that do something, and convolutions whose outputs do not fade with depth."""
    torch.manual_seed(1)
    for module in model.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            module.weight.data.mul_(2)
        if isinstance(module, nn.BatchNorm2d | nn.GroupNorm):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias)
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 2)
    return model


def mobilenet() -> tuple[nn.Module, Inputs]:
    """Depthwise convolutions, squeeze and excitation, residual streams."""
    return _made(_MobileNet)


def densenet() -> tuple[nn.Module, Inputs]:
    """Concatenations that grow."""
    return _made(_Dense)


def flat() -> tuple[nn.Module, Inputs]:
    """Flattened in both orders."""
    return _made(_Flat)


def grouped() -> tuple[nn.Module, Inputs]:
    """Groups of different sizes that meet."""
    return _made(_Grouped)


def halves() -> tuple[nn.Module, Inputs]:
    """Chunks, a gated unit, a pixel shuffle."""
    return _made(_Halves)


def shared() -> tuple[nn.Module, Inputs]:
    """Reused and tied."""
    return _made(_Shared)


def _resnet18() -> tuple[nn.Module, Inputs]:
    model, inputs = resnet18()
    return uneven(model), inputs


def _unet() -> tuple[nn.Module, Inputs]:
    model, inputs = unet()
    return uneven(model), inputs


CHANNELS: dict[str, Maker] = {
    "resnet18": _resnet18,
    "unet": _unet,
    "mobilenet": mobilenet,
    "densenet": densenet,
    "flat": flat,
    "grouped": grouped,
    "halves": halves,
    "shared": shared,
}
