"""Models of two kinds of input: text with images, sound with text."""

import torch
from torch import nn

from tests.zoo.building import VOCABULARY, Inputs, built, ids

_TOWER = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4}


def clip() -> tuple[nn.Module, Inputs]:
    """A text tower and an image tower, each projected; their products as logits both ways."""
    model = built(
        "CLIPConfig",
        "CLIPModel",
        text_config={
            "vocab_size": VOCABULARY,
            "max_position_embeddings": 16,
            "bos_token_id": 1,
            "eos_token_id": 2,
            **_TOWER,
        },
        vision_config={"image_size": 16, "patch_size": 8, **_TOWER},
        projection_dim=16,
    )
    images = torch.randn(3, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    return model, {"input_ids": ids(), "pixel_values": images}


def whisper() -> tuple[nn.Module, Inputs]:
    """Convolutions over a spectrogram, an encoder, a decoder with a tied head."""
    model = built(
        "WhisperConfig",
        "WhisperForConditionalGeneration",
        vocab_size=VOCABULARY,
        num_mel_bins=8,
        d_model=32,
        encoder_layers=2,
        decoder_layers=2,
        encoder_attention_heads=4,
        decoder_attention_heads=4,
        encoder_ffn_dim=48,
        decoder_ffn_dim=48,
        max_source_positions=10,
        max_target_positions=16,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=2,
        decoder_start_token_id=1,
    )
    sound = torch.randn(2, 8, 20, generator=torch.Generator().manual_seed(0))
    return model, {"input_features": sound, "decoder_input_ids": ids(length=5)}
