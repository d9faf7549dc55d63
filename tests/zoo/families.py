"""A model of each family on which edits of depth are proved: four blocks, no two alike.

They are small, but not tame: every parameter is moved away from its start, so that a block in the wrong
place shows in the outputs. Windows are narrower than the prompts.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from tests.zoo.building import GROUPED, SIZES, Inputs, built, decoder, ids

_Family = Callable[..., tuple[nn.Module, Inputs]]
# Of every second block one type is left: the sliding one in Gemma, the full one in Qwen.
_SLIDING_FIRST = ["sliding_attention", "full_attention"] * 2
_FULL_FIRST = _SLIDING_FIRST[::-1]
_DECODER = SIZES | {"num_hidden_layers": 4}
_GROUPED = GROUPED | {"num_hidden_layers": 4}
# RoBERTa counts a padding token as a position with its cache alone, so none may be generated; positions
# begin behind its number.
_ROBERTA = _DECODER | {"intermediate_size": 48, "pad_token_id": 63, "max_position_embeddings": 128}
_IMAGE = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "image_size": 16,
    "patch_size": 4,
    "num_labels": 5,
}
# Of the highest id, which ends the text, the text's vector is taken.
_READING = _DECODER | {"intermediate_size": 48, "vocab_size": 64, "eos_token_id": 2}
_SEEING = {key: value for key, value in _IMAGE.items() if key != "num_labels"}


def stirred(model: nn.Module) -> nn.Module:
    """The model with noise on every parameter: norms and biases start alike in all blocks.

    Running statistics do too; variances only grow.
    """
    torch.manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
        for name, buffer in model.named_buffers():
            if "running" in name:
                buffer.add_(0.2 * torch.rand_like(buffer))
    return model


def _text(config: str, head: str, settings: dict[str, Any]) -> _Family:
    return lambda **more: (stirred(decoder(config, head, **settings | more)), {"input_ids": ids()})


def _picture(side: int = 16) -> torch.Tensor:
    return torch.randn(2, 3, side, side, generator=torch.Generator().manual_seed(0))


def _image(config: str, head: str, settings: dict[str, Any] = _IMAGE, side: int = 16) -> _Family:
    return lambda **more: (stirred(built(config, head, **settings | more)), {"pixel_values": _picture(side)})


DECODERS: dict[str, _Family] = {
    "llama": _text("LlamaConfig", "LlamaForCausalLM", _GROUPED),
    "qwen2": _text(
        "Qwen2Config",
        "Qwen2ForCausalLM",
        _GROUPED | {"layer_types": _FULL_FIRST, "use_sliding_window": True, "sliding_window": 4},
    ),
    "gpt2": _text(
        "GPT2Config", "GPT2LMHeadModel", {"n_embd": 32, "n_layer": 4, "n_head": 4, "n_positions": 64}
    ),
    "mistral": _text("MistralConfig", "MistralForCausalLM", _GROUPED | {"sliding_window": 4}),
    "qwen3": _text(
        "Qwen3Config",
        "Qwen3ForCausalLM",
        _GROUPED
        | {"head_dim": 12, "layer_types": _FULL_FIRST, "use_sliding_window": True, "sliding_window": 4},
    ),
    "gemma2": _text(
        "Gemma2Config",
        "Gemma2ForCausalLM",
        _GROUPED | {"head_dim": 8, "layer_types": _SLIDING_FIRST, "sliding_window": 4},
    ),
    "gemma3_text": _text(
        "Gemma3TextConfig",
        "Gemma3ForCausalLM",
        _GROUPED | {"head_dim": 8, "layer_types": _SLIDING_FIRST, "sliding_window": 4},
    ),
    "mixtral": _text(
        "MixtralConfig", "MixtralForCausalLM", _GROUPED | {"num_local_experts": 4, "sliding_window": 4}
    ),
    "gpt_neox": _text("GPTNeoXConfig", "GPTNeoXForCausalLM", _DECODER | {"intermediate_size": 48}),
    "opt": _text("OPTConfig", "OPTForCausalLM", _DECODER | {"ffn_dim": 48, "word_embed_proj_dim": 32}),
    "falcon": _text(
        "FalconConfig", "FalconForCausalLM", _DECODER | {"new_decoder_architecture": True, "num_kv_heads": 2}
    ),
    "phi": _text("PhiConfig", "PhiForCausalLM", _GROUPED | {"qk_layernorm": True}),
    "phi3": _text("Phi3Config", "Phi3ForCausalLM", _GROUPED | {"sliding_window": 4}),
}

ENCODERS: dict[str, _Family] = {
    "bert": _text("BertConfig", "BertForMaskedLM", _DECODER | {"intermediate_size": 48}),
    "roberta": _text("RobertaConfig", "RobertaForMaskedLM", _ROBERTA),
    "distilbert": _text(
        "DistilBertConfig",
        "DistilBertForMaskedLM",
        {"dim": 32, "hidden_dim": 48, "n_layers": 4, "n_heads": 4, "max_position_embeddings": 64},
    ),
    "clip_text_model": _text("CLIPTextConfig", "CLIPTextModelWithProjection", _READING),
    "clip_vision_model": _image("CLIPVisionConfig", "CLIPVisionModelWithProjection"),
    "vit": _image("ViTConfig", "ViTForImageClassification"),
    "deit": _image("DeiTConfig", "DeiTForImageClassification"),
}

_EARS = {
    "d_model": 32,
    "encoder_layers": 4,
    "decoder_layers": 4,
    "encoder_attention_heads": 4,
    "decoder_attention_heads": 4,
    "encoder_ffn_dim": 48,
    "decoder_ffn_dim": 48,
}
# Buckets that differ from place to place, and no more blocks in the decoder than in the encoder: its cache
# has as many slots as that.
_T5 = {
    "d_model": 32,
    "d_kv": 8,
    "d_ff": 48,
    "num_layers": 4,
    "num_decoder_layers": 4,
    "num_heads": 4,
    "relative_attention_num_buckets": 8,
    "relative_attention_max_distance": 12,
    "decoder_start_token_id": 0,
}
_BART = _EARS | {"max_position_embeddings": 64, "decoder_start_token_id": 2, "forced_eos_token_id": None}


_WHISPER = _EARS | {
    "num_mel_bins": 8,
    "max_source_positions": 10,
    "max_target_positions": 16,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "decoder_start_token_id": 1,
}


def _translator(config: str, head: str, settings: dict[str, Any]) -> _Family:
    mask = torch.tensor([[1] * 8, [1] * 5 + [0] * 3])
    read = {"input_ids": ids(), "attention_mask": mask, "decoder_input_ids": ids(length=5)}
    return lambda **more: (stirred(decoder(config, head, **settings | more)), read)


def _writer(config: str, head: str, settings: dict[str, Any]) -> _Family:
    sound = torch.randn(2, 8, 20, generator=torch.Generator().manual_seed(0))
    both = {"input_features": sound, "decoder_input_ids": ids(length=5)}
    return lambda **more: (stirred(decoder(config, head, **settings | more)), both)


# Each with an encoder's blocks and a decoder's.
TRANSLATORS: dict[str, _Family] = {
    "bart": _translator("BartConfig", "BartForConditionalGeneration", _BART),
    "t5": _translator("T5Config", "T5ForConditionalGeneration", _T5),
    "whisper": _writer("WhisperConfig", "WhisperForConditionalGeneration", _WHISPER),
}


def _read_and_seen(**more: Any) -> tuple[nn.Module, Inputs]:
    towers = {"text_config": _READING, "vision_config": _SEEING}
    model = built("CLIPConfig", "CLIPModel", projection_dim=16, **towers | more)
    return stirred(model), {"input_ids": ids(), "pixel_values": _picture()}


# Each with two encoders.
TOWERS: dict[str, _Family] = {"clip": _read_and_seen}

# Of two stages each; their blocks drop no path in training, for then no two are alike.
STAGES: dict[str, _Family] = {
    "convnext": _image(
        "ConvNextConfig",
        "ConvNextForImageClassification",
        {"num_stages": 2, "hidden_sizes": [8, 12], "depths": [4, 4], "num_labels": 5},
        side=32,
    ),
    "resnet": _image(
        "ResNetConfig",
        "ResNetForImageClassification",
        {"embedding_size": 8, "hidden_sizes": [8, 16], "depths": [4, 4], "num_labels": 5},
        side=32,
    ),
    "swin": _image(
        "SwinConfig",
        "SwinForImageClassification",
        {
            "image_size": 16,
            "patch_size": 2,
            "embed_dim": 16,
            "depths": [4, 4],
            "num_heads": [2, 4],
            "window_size": 2,
            "drop_path_rate": 0.0,
            "num_labels": 5,
        },
    ),
}

# Of families above, with a cache too, and positions that are no rotation; encoders that decode.
VARIANTS: dict[str, _Family] = {
    "falcon-alibi": _text(
        "FalconConfig",
        "FalconForCausalLM",
        _DECODER | {"alibi": True, "multi_query": False, "parallel_attn": False, "bias": True},
    ),
    "bert-decoder": _text(
        "BertConfig", "BertLMHeadModel", _DECODER | {"intermediate_size": 48, "is_decoder": True}
    ),
    "bart-decoder": _text("BartConfig", "BartForCausalLM", _BART),
    "whisper-decoder": _text("WhisperConfig", "WhisperForCausalLM", _WHISPER),
    "roberta-decoder": _text("RobertaConfig", "RobertaForCausalLM", _ROBERTA | {"is_decoder": True}),
}
