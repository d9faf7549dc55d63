"""Sound: spectra and waves."""

from __future__ import annotations

import torch

from surgery.sources.forward import Forward

FRAMES = 128
"""Frames of a spectrum where the config does not say."""

SAMPLES = 16_000
"""Samples of a wave: a second at the rate most models take."""

_AUDIO = ("audio_config", "audio_encoder_config", "encoder_config", "encoder")


def input_features(forward: Forward) -> torch.Tensor | None:
    """A spectrum, float32: (1, mels, frames) where frames are convolved, else (1, frames, features).

    Models that see it as a picture take (1, 1, frames, mels). None where its height is in no config.
    """
    mels = forward.number(("num_mel_bins",), *_AUDIO)
    positions = forward.number(("max_source_positions",), *_AUDIO)
    features = forward.number(
        ("input_feat_per_channel", "feature_projection_input_dim", "input_dim"), *_AUDIO
    )
    picture = forward.number(("spec_size",), *_AUDIO)
    if features:
        return torch.zeros(1, FRAMES, features)
    if mels and picture:
        return torch.zeros(1, 1, picture * max(picture // mels, 1), mels)
    if mels and positions:
        return torch.zeros(1, mels, 2 * positions)
    return torch.zeros(1, FRAMES, mels) if mels else None


def input_values(forward: Forward) -> torch.Tensor:
    """A wave (1, samples), float32, for a codec (1, channels, samples); of a given length a spectrum."""
    mels, frames = forward.number(("num_mel_bins",)), forward.number(("max_length",))
    if mels and frames:
        return torch.zeros(1, frames, mels)
    if forward.first(("codebook_size",)):
        return torch.zeros(1, forward.number(("audio_channels",)) or 1, SAMPLES)
    return torch.zeros(1, SAMPLES)


AUDIO = {"input_features": input_features, "input_values": input_values}
