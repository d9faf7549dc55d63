"""The demonstration images: 1,797 digits written by hand, which scikit-learn carries.

They are split by a hash of their pixels, so the split is the same everywhere, and of two images that
are equal never one is trained on and the other held out.
"""

from __future__ import annotations

import hashlib
from functools import cache

import torch

from surgery.errors import SurgeryError

BRIGHTEST = 16
"""Pixels are whole numbers from 0 to this."""


def is_held_out(pixels: bytes) -> bool:
    """Whether the image with these 64 pixels, a byte each, row by row, is held out; about one in four is."""
    return hashlib.sha256(pixels).digest()[0] < 64


@cache
def digits(held_out: bool) -> tuple[torch.Tensor, torch.Tensor]:
    """Images (n, 1, 8, 8) float32 in [0, 1] and labels (n,) int64 of one part, in scikit-learn's order.

    Made once: do not write into them. Raises SurgeryError where scikit-learn is not installed.
    """
    try:
        from sklearn.datasets import load_digits
    except ImportError as error:
        raise SurgeryError(
            f"the images of digits come with scikit-learn, which can't be imported ({error})",
            hint="`pip install 'model-surgery[demo]'`",
        ) from None
    pixels, labels = load_digits(return_X_y=True)
    whole = torch.from_numpy(pixels).to(torch.uint8).reshape(-1, 1, 8, 8)
    part = torch.tensor([is_held_out(image.numpy().tobytes()) == held_out for image in whole])
    return whole[part].float() / BRIGHTEST, torch.from_numpy(labels).long()[part]


def training_batches() -> list[tuple[torch.Tensor, torch.Tensor]]:
    """The images to train on and their labels, 128 (128, 1, 8, 8) and (128,), and a smaller last batch."""
    images, labels = digits(held_out=False)
    return list(zip(images.split(128), labels.split(128), strict=True))


def held_out() -> tuple[torch.Tensor, torch.Tensor]:
    """The images and labels that none of the demonstration models saw."""
    return digits(held_out=True)
