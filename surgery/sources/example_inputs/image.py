"""Pixels."""

from __future__ import annotations

from typing import Any

import torch

from surgery.sources.forward import Forward

SIDE = 224
"""Pixels per side where the config does not say."""

FRAMES = 8
"""Of a video where the config does not say."""

PATCHES = 64
"""Of an image that comes cut up."""

_VISION = ("vision_config", "backbone_config", "encoder", "vision_encoder_config", "image_encoder")
_SIDES = ("image_size", "img_size", "input_size", "crop_size")
_CHANNELS = ("num_channels", "in_channels", "in_chans", "num_input_channels")


def image_of(size: Any, channels: int = 3) -> torch.Tensor:
    """Zeros (1, channels, height, width) for a size given as a number, a pair or a dictionary."""
    return torch.zeros(1, channels, *sides(size))


def sides(size: Any) -> tuple[int, int]:
    """Height and width from the ways in which configs write them."""
    if isinstance(size, dict):
        size = size.get("height", size.get("shortest_edge", SIDE)), size.get("width", SIDE)
    if isinstance(size, list | tuple) and size:
        size = [int(side) for side in size]
        return (size[-2], size[-1]) if len(size) > 1 else (size[0], size[0])
    return (int(size), int(size)) if isinstance(size, int) and size > 0 else (SIDE, SIDE)


def pixel_values(forward: Forward) -> torch.Tensor:
    """An image (1, channels, height, width), float32; for models of video (1, frames, channels, …)."""
    of_video = "video" in forward.modalities and "image" not in forward.modalities
    return frames(forward) if of_video or forward.number(("num_frames",)) else image(forward)


def image(forward: Forward) -> torch.Tensor:
    """An image (1, channels, height, width), float32."""
    size = forward.first(_SIDES, *_VISION)
    return image_of(size, forward.number(_CHANNELS, *_VISION) or 3)


def frames(forward: Forward) -> torch.Tensor:
    """Frames (1, frames, channels, height, width), float32."""
    count = forward.number(("num_frames", "frames_per_clip"), *_VISION) or FRAMES
    return image(forward).unsqueeze(1).repeat(1, count, 1, 1, 1)


def flattened_patches(forward: Forward) -> torch.Tensor | None:
    """Patches (1, PATCHES, 2 + pixels of a patch), float32, each after its row and column."""
    pixels = forward.number(("patch_embed_hidden_size",), *_VISION)
    return torch.zeros(1, PATCHES, 2 + pixels) if pixels else None


IMAGE = {
    "pixel_values": pixel_values,
    "pixel_values_videos": frames,
    "flattened_patches": flattened_patches,
}
