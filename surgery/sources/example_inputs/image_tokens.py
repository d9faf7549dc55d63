"""An image before the text, for language models that put its features where its tokens stand."""

from __future__ import annotations

import logging
from typing import Any

import torch

from graph.tracing.fakes import fake, fake_mode, fake_shell, tensors_in
from surgery.sources.example_inputs.image import pixel_values
from surgery.sources.example_inputs.text import input_ids
from surgery.sources.forward import Forward

_TOKEN = ("image_token_id", "image_token_index")


def takes_images(forward: Forward) -> bool:
    """Whether a language model can be shown images."""
    return "pixel_values" in forward.parameters and forward.first(_TOKEN, "text_config") is not None


def image_and_text(forward: Forward) -> dict[str, torch.Tensor] | None:
    """One image and ids (1, features + length) with a token for each feature of the image.

    None for models that want more than pixels, or pixels in another form than one image.
    """
    token, pixels = forward.first(_TOKEN, "text_config"), pixel_values(forward)
    if not isinstance(token, int):
        return None
    try:
        count = _features(forward, pixels)
    except Exception:  # not called so, or wants what is in no config
        return None
    shown = torch.full((1, count), token)
    return {"input_ids": torch.cat([shown, input_ids(forward, count)], dim=1), "pixel_values": pixels}


def _features(forward: Forward, pixels: torch.Tensor) -> int:
    """How many tokens an image stands for: the model's vision tower says so, run on fake tensors."""
    mode = fake_mode()
    log = logging.getLogger("torch._subclasses.fake_tensor")  # a shape that does not fit is no news here
    disabled, log.disabled = log.disabled, True
    try:
        with torch.random.fork_rng(devices=[]), torch.inference_mode(False), torch.no_grad():
            model: Any = fake_shell(forward.model, mode).model
            with mode:
                out = model.get_image_features(pixel_values=fake(pixels, mode))
    finally:
        log.disabled = disabled
    features = list(tensors_in(getattr(out, "pooler_output", out)))
    return sum(tensor.numel() // tensor.shape[-1] for tensor in features)
