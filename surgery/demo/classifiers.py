"""The demonstration classifiers: digits of 8 × 8 pixels to the logits of ten classes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from transformers import ViTConfig

# Both are as narrow as they can be and still read digits well. Wider ones read them no better, and their
# later blocks hardly matter: here taking out any block costs something one can measure.
WIDTHS = (8, 16)
"""Channels of the two stages of the convolutional classifier."""
BLOCKS = (3, 2)
"""Residual blocks in the two stages."""


def normalised(width_in: int, width_out: int, stride: int = 1) -> nn.Sequential:
    """A 3 × 3 convolution and its BatchNorm: (n, width_in, h, w) to (n, width_out, h/stride, w/stride)."""
    convolution = nn.Conv2d(width_in, width_out, 3, stride=stride, padding=1, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(width_out))


class ResidualBlock(nn.Module):
    """Two convolutions added to what came in (He et al. 2015, arXiv:1512.03385); shapes stay.

    `forward` takes and gives (n, width, h, w).
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(width)

    def forward(self, x: Tensor) -> Tensor:
        inner = torch.relu(self.norm1(self.conv1(x)))
        return torch.relu(x + self.norm2(self.conv2(inner)))


class DigitsCnn(nn.Module):
    """A residual network with BatchNorm in two stages, of three blocks and of two; 14 thousand parameters.

    `forward` takes images (n, 1, 8, 8) float32 in [0, 1] and gives logits (n, 10). Stage 1 works on
    8 × 8 places, stage 2 on 4 × 4.
    """

    def __init__(self) -> None:
        super().__init__()
        first, second = WIDTHS
        self.stem = normalised(1, first)
        self.stage1 = nn.Sequential(*(ResidualBlock(first) for _ in range(BLOCKS[0])))
        self.down = normalised(first, second, stride=2)
        self.stage2 = nn.Sequential(*(ResidualBlock(second) for _ in range(BLOCKS[1])))
        self.head = nn.Linear(second, 10)

    def forward(self, images: Tensor) -> Tensor:
        x = self.stage1(torch.relu(self.stem(images)))
        x = self.stage2(torch.relu(self.down(x)))
        logits: Tensor = self.head(x.mean((2, 3)))
        return logits


def vit_config() -> ViTConfig:
    """Six blocks of width 32 over 16 patches of 2 × 2 pixels; 40 thousand parameters."""
    from transformers import ViTConfig

    width = 32
    return ViTConfig(
        image_size=8,
        patch_size=2,
        num_channels=1,
        hidden_size=width,
        intermediate_size=width,
        num_hidden_layers=6,
        num_attention_heads=4,
        initializer_range=width**-0.5,  # the usual 0.02 suits a wide model; here only block 0 would learn
        id2label={digit: str(digit) for digit in range(10)},
        label2id={str(digit): digit for digit in range(10)},
        dtype="float32",
    )


def stored_cnn(folder: Path) -> DigitsCnn:
    """The convolutional classifier with the tensors in `folder`, in evaluation mode."""
    from safetensors.torch import load_file

    model = DigitsCnn()
    model.load_state_dict(load_file(folder / "model.safetensors"))
    return model.eval()


def example_images() -> Tensor:
    """One grey image (1, 1, 8, 8) float32 to trace with: no data set is needed for it."""
    return torch.full((1, 1, 8, 8), 0.5)
