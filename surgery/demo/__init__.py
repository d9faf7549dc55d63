"""What ships for a first try: a small trained decoder, two image classifiers, and what is held out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # naming the folders should not wait for torch
    from torch import Tensor, nn

DECODER = Path(__file__).parent / "decoder"
"""Folder of the demonstration decoder: a transformers checkpoint of a few MB."""

CNN = Path(__file__).parent / "cnn"
"""Folder of the convolutional classifier of digits: its tensors, and how they were trained."""

VIT = Path(__file__).parent / "vit"
"""Folder of the vision transformer for digits: a transformers checkpoint of a few hundred kB."""

FOLDERS = {"demo": DECODER, "demo-vit": VIT}
"""The demonstration models that are transformers folders, by the name `surgery.open` takes."""


def cnn() -> tuple[nn.Module, Tensor]:
    """The convolutional classifier in evaluation mode, and example images (1, 1, 8, 8) float32 in [0, 1]."""
    from surgery.demo.classifiers import example_images, stored_cnn

    return stored_cnn(CNN), example_images()


def vit() -> tuple[nn.Module, dict[str, Tensor]]:
    """The vision transformer in evaluation mode, and `pixel_values` (1, 1, 8, 8) float32 in [0, 1] for it."""
    from surgery.checkpoint.pretrained import pretrained
    from surgery.demo.classifiers import example_images

    return pretrained("ViTForImageClassification", VIT), {"pixel_values": example_images()}
