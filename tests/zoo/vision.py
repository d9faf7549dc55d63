"""Image models of transformers."""

import torch
from torch import nn

from tests.zoo.building import Inputs, built


def _image(side: int, batch: int = 2) -> torch.Tensor:
    return torch.randn(batch, 3, side, side, generator=torch.Generator().manual_seed(0))


def vit() -> tuple[nn.Module, Inputs]:
    """Patches, a class token, blocks with norms before; logits from the class token."""
    model = built(
        "ViTConfig",
        "ViTForImageClassification",
        image_size=16,
        patch_size=4,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_labels=5,
    )
    return model, {"pixel_values": _image(16)}


def swin() -> tuple[nn.Module, Inputs]:
    """Windows of attention, shifted in every other block, in two stages joined by merged patches.

    Without stochastic depth: its rate grows from block to block, so that no two would be alike.
    """
    model = built(
        "SwinConfig",
        "SwinForImageClassification",
        image_size=16,
        patch_size=2,
        embed_dim=16,
        depths=[2, 4],
        num_heads=[2, 4],
        window_size=2,
        drop_path_rate=0.0,
        num_labels=5,
    )
    return model, {"pixel_values": _image(16)}


def convnext() -> tuple[nn.Module, Inputs]:
    """Depthwise convolutions, norms over channels last, a scale per channel, in stages."""
    model = built(
        "ConvNextConfig",
        "ConvNextForImageClassification",
        image_size=32,
        hidden_sizes=[8, 12, 16, 24],
        depths=[1, 2, 2, 1],
        num_labels=5,
    )
    return model, {"pixel_values": _image(32)}


def resnet() -> tuple[nn.Module, Inputs]:
    """Bottlenecks with BatchNorm in stages; shortcuts that are convolutions where the width changes."""
    model = built(
        "ResNetConfig",
        "ResNetForImageClassification",
        embedding_size=8,
        hidden_sizes=[16, 32],
        depths=[2, 2],
        num_labels=5,
    )
    return model, {"pixel_values": _image(32)}


def detr() -> tuple[nn.Module, Inputs]:
    """A convolutional backbone, an encoder over its pixels, a decoder over learned queries, two heads."""
    import transformers

    backbone = transformers.ResNetConfig(
        embedding_size=8, hidden_sizes=[16, 32], depths=[1, 1], out_features=["stage2"]
    )
    model = built(
        "DetrConfig",
        "DetrForObjectDetection",
        backbone_config=backbone,
        use_timm_backbone=False,
        backbone=None,
        num_queries=6,
        d_model=32,
        encoder_layers=2,
        decoder_layers=2,
        encoder_attention_heads=4,
        decoder_attention_heads=4,
        encoder_ffn_dim=48,
        decoder_ffn_dim=48,
        num_labels=5,
    )
    return model, {"pixel_values": _image(32), "pixel_mask": torch.ones(2, 32, 32, dtype=torch.int64)}


def sam() -> tuple[nn.Module, Inputs]:
    """Segmentation from points: an image encoder with windows, a prompt encoder, a two-way decoder."""
    import transformers

    model = built(
        "SamConfig",
        "SamModel",
        vision_config=transformers.SamVisionConfig(
            image_size=32, patch_size=4, hidden_size=16, output_channels=8, num_hidden_layers=2,
            num_attention_heads=2, mlp_dim=32, window_size=4, global_attn_indexes=[1], num_pos_feats=4,
        ).to_dict(),
        prompt_encoder_config=transformers.SamPromptEncoderConfig(
            hidden_size=8, image_size=32, patch_size=4, mask_input_channels=4
        ).to_dict(),
        mask_decoder_config=transformers.SamMaskDecoderConfig(
            hidden_size=8, mlp_dim=16, num_hidden_layers=2, num_attention_heads=2,
            iou_head_depth=2, iou_head_hidden_dim=8,
        ).to_dict(),
    )  # fmt: skip
    return model, {
        "pixel_values": _image(32, batch=1),
        "input_points": torch.tensor([[[[4.0, 5.0], [20.0, 9.0]]]]),
        "input_labels": torch.tensor([[[1, 0]]]),
    }
