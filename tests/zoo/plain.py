"""Small awkward modules of our own: ties, reuse, lists in lists, convolutions in stages."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tests.zoo.building import VOCABULARY, Inputs, ids


class _Mlp(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.up = nn.Linear(width, 2 * width)
        self.act = nn.GELU()
        self.down = nn.Linear(2 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.down(self.act(self.up(self.norm(x))))


class _TiedHead(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(VOCABULARY, 16)
        self.blocks = nn.ModuleList(_Mlp(16) for _ in range(4))
        self.norm = nn.LayerNorm(16)

    def forward(self, ids: Tensor) -> Tensor:
        x = self.embed(ids)
        for block in self.blocks:
            x = block(x)
        return F.linear(self.norm(x), self.embed.weight)


def tied_head() -> tuple[nn.Module, Inputs]:
    """Residual blocks in a list; the head is the embedding's weight, used by a function."""
    torch.manual_seed(0)
    return _TiedHead().eval(), {"ids": ids()}


class _Siamese(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.left = nn.Sequential(nn.Linear(12, 16), nn.ReLU(), nn.Linear(16, 8))
        self.right = self.left
        self.head = nn.Linear(16, 1, bias=False)

    def forward(self, one: Tensor, two: Tensor) -> Tensor:
        return self.head(torch.cat([self.left(one), self.right(two)], dim=-1))


def siamese() -> tuple[nn.Module, Inputs]:
    """One tower at two paths, its outputs concatenated."""
    torch.manual_seed(0)
    return _Siamese().eval(), (torch.randn(3, 12), torch.randn(3, 12))


class _ConvBlock(nn.Module):
    def __init__(self, width: int, groups: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(width, width, 3, padding=1, groups=groups, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1)
        self.bn2 = nn.BatchNorm2d(width)

    def forward(self, x: Tensor) -> Tensor:
        y = self.relu(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        y += x
        return self.relu(y)


class _Cnn(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 3, stride=2, padding=1), nn.BatchNorm2d(8), nn.ReLU())
        self.stage1 = nn.Sequential(_ConvBlock(8, 2), _ConvBlock(8, 2))
        self.down = nn.Conv2d(8, 16, 1, stride=2, bias=False)
        self.stage2 = nn.Sequential(_ConvBlock(16, 4), _ConvBlock(16, 4), _ConvBlock(16, 1))
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.head = nn.Linear(16, 10)

    def forward(self, image: Tensor) -> Tensor:
        x = self.stage2(self.down(self.stage1(self.stem(image))))
        return self.head(self.pool(x).flatten(1))


def cnn() -> tuple[nn.Module, Inputs]:
    """Convolutions in stages: BatchNorm, groups, in-place ReLU and additions, biases here and there."""
    torch.manual_seed(0)
    return _Cnn().eval(), {"image": torch.randn(2, 3, 16, 16)}


class _Reused(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Linear(6, 16)
        self.block = _Mlp(16)
        self.head = nn.Linear(16, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = self.embed(x)
        for _ in range(3):
            x = self.block(x)
        return self.head(x)


def reused() -> tuple[nn.Module, Inputs]:
    """One block called three times at one path."""
    torch.manual_seed(0)
    return _Reused().eval(), (torch.randn(5, 6),)


def encoder() -> tuple[nn.Module, Inputs]:
    """Torch's own encoder layers: attention whose children are never called, and no list to fold."""
    torch.manual_seed(0)
    layer = nn.TransformerEncoderLayer(16, 2, 32, batch_first=True)
    return nn.TransformerEncoder(layer, 2, enable_nested_tensor=False).eval(), (torch.randn(2, 5, 16),)


class _Nested(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(8))
        self.register_buffer("shift", torch.zeros(8))
        self.grid = nn.ModuleList(nn.ModuleList(nn.Linear(8, 8) for _ in range(2)) for _ in range(3))
        self.heads = nn.ModuleDict({"one": nn.Linear(8, 2), "two": nn.Linear(8, 3)})

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        for row in self.grid:
            x = sum(layer(x) for layer in row) * self.scale + self.shift
        return {name: head(x) for name, head in self.heads.items()}


def nested_lists() -> tuple[nn.Module, Inputs]:
    """Lists in lists, a dictionary of heads, a parameter and a buffer on the root."""
    torch.manual_seed(0)
    return _Nested().eval(), {"x": torch.randn(4, 8)}


class _Gated(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.RMSNorm(width, eps=0.5)
        self.up = nn.Linear(width, 2 * width)
        self.down = nn.Linear(2 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.down(F.silu(self.up(self.norm(x))))


class _NarrowStream(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(VOCABULARY, 16)
        self.blocks = nn.ModuleList(_Gated(16) for _ in range(2))
        self.norm = nn.RMSNorm(16, eps=0.5)
        self.head = nn.Linear(16, VOCABULARY, bias=False)
        self.head.weight = self.embed.weight

    def forward(self, ids: Tensor) -> Tensor:
        x = self.embed(ids)
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm(x))


def narrow_stream() -> tuple[nn.Module, Inputs]:
    """A stream under RMSNorms whose ε counts, and a tied head."""
    torch.manual_seed(0)
    model = _NarrowStream().eval()
    for norm in (model.norm, *(block.norm for block in model.blocks)):
        nn.init.uniform_(norm.weight, 0.5, 1.5)
    return model, {"ids": ids()}
