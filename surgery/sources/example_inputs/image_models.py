"""Images for models that have no config: those of timm and torchvision."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from surgery.sources.example_inputs.image import SIDE, sides

_VIDEO_SIDE, _FRAMES, _MOST_CHANNELS = 112, 16, 16


def is_image_model(model: nn.Module) -> bool:
    """Whether `model` is of timm or torchvision, or says like timm's what images it takes."""
    home = type(model).__module__
    return home.startswith(("timm.", "torchvision.models.")) or _timm_size(model) is not None


def image_inputs(model: nn.Module) -> tuple[Any, ...]:
    """What `model` takes, float32, as positional arguments: one image (1, channels, height, width).

    For models of video (1, channels, frames, height, width); of optical flow two images; of detection a
    list of images (channels, height, width).
    """
    size = _timm_size(model)
    stem = next((m for m in model.modules() if isinstance(m, nn.Conv2d | nn.Conv3d)), None)
    channels = stem.in_channels if stem is not None else 3
    if size:
        patches = getattr(getattr(model, "patch_embed", None), "img_size", None)  # as built, where it differs
        # The first convolution need not see pixels: a stem may stack those of a square, or transform them.
        seen = channels <= _MOST_CHANNELS and channels % size[0]
        return (torch.zeros(1, channels if seen else size[0], *(patches or size[1:])),)
    kind = type(model).__module__.removeprefix("torchvision.models.").partition(".")[0]
    if isinstance(stem, nn.Conv3d):
        side = _VIDEO_SIDE if type(model).__name__ == "VideoResNet" else SIDE
        return (torch.zeros(1, channels, _FRAMES, side, side),)
    if kind == "detection":
        return ([torch.zeros(channels, SIDE, SIDE)],)
    image = torch.zeros(1, channels, *sides(getattr(model, "image_size", SIDE)))
    return (image, image.clone()) if kind == "optical_flow" else (image,)


def _timm_size(model: nn.Module) -> tuple[int, int, int] | None:
    for name in ("pretrained_cfg", "default_cfg"):
        described = getattr(model, name, None)
        size = described.get("input_size") if isinstance(described, dict) else None
        if isinstance(size, list | tuple) and len(size) == 3:
            return int(size[0]), int(size[1]), int(size[2])
    return None
