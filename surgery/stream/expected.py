"""The tensors that a config asks for, in families whose names on disk are those in memory."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from surgery.checkpoint.tensors import Checkpoint
from surgery.stream.alike import AS_ON_DISK

_CLASSES = {
    **{"llama": "LlamaForCausalLM", "mistral": "MistralForCausalLM", "phi3": "Phi3ForCausalLM"},
    **{"qwen2": "Qwen2ForCausalLM", "qwen3": "Qwen3ForCausalLM"},
}
_COUNTS = (
    *("hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads"),
    *("num_key_value_heads", "vocab_size"),
)
_TYPES = {"full_attention", "sliding_attention"}
_LLAMA3 = {"factor", "low_freq_factor", "high_freq_factor", "original_max_position_embeddings"}


def as_in_memory(checkpoint: Checkpoint, config: dict[str, Any]) -> bool:
    """Whether the model would have the very tensors of the files, in their dtype, and none of them twice."""
    said = config.get("dtype", config.get("torch_dtype"))
    dtypes = {str(entry.dtype).removeprefix("torch.") for entry in checkpoint.entries.values()}
    if dtypes != {said} or config.get("tie_word_embeddings") is not False or checkpoint.same:
        return False
    try:
        expected = dict(_shapes(config)) if _is_ordinary(config) else {}
    except (KeyError, TypeError, AttributeError):  # left to what the class has by default
        return False
    return expected == {name: entry.shape for name, entry in checkpoint.entries.items()}


def _is_ordinary(config: dict[str, Any]) -> bool:
    """Whether a class of transformers takes these settings, as far as they can be wrong."""
    blocks, types = config["num_hidden_layers"], config.get("layer_types")
    return (
        config["architectures"] == [_CLASSES[config["model_type"]]]
        and all(type(config[name]) is int for name in _COUNTS)
        and type(config.get("head_dim")) in (int, type(None))
        and config.get("hidden_act", "silu") == "silu"
        and (types is None or (len(types) == blocks and set(types) <= _TYPES))
        and all(_turns(config.get(name) or {}) for name in ("rope_parameters", "rope_scaling"))
    )


def _turns(rope: dict[str, Any]) -> bool:
    """Whether these are settings of rotary embeddings of a kind that is known, with all it takes."""
    kind = rope.get("rope_type", rope.get("type", "default"))
    numbers = all(isinstance(rope[name], int | float) for name in _LLAMA3 & rope.keys())
    return numbers and (kind == "default" or (kind == "llama3" and rope.keys() >= _LLAMA3))


def _shapes(config: dict[str, Any]) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Each tensor of a model with this config, by name."""
    family, width, inner = config["model_type"], config["hidden_size"], config["intermediate_size"]
    head = config.get("head_dim") or width // config["num_attention_heads"]
    queries, keys = head * config["num_attention_heads"], head * config["num_key_value_heads"]
    sides = {
        **{"q_proj": (queries, width), "k_proj": (keys, width), "v_proj": (keys, width)},
        **{"o_proj": (width, queries), "qkv_proj": (queries + 2 * keys, width)},
        **{"gate_proj": (inner, width), "up_proj": (inner, width), "down_proj": (width, inner)},
        **{"gate_up_proj": (2 * inner, width), "q_norm": (head,), "k_norm": (head,)},
    }
    if config.get("attention_bias") or config.get("mlp_bias"):
        raise KeyError("bias")
    behind, inside = AS_ON_DISK[family]
    yield "model.embed_tokens.weight", (config["vocab_size"], width)
    for number in range(config["num_hidden_layers"]):
        for place in inside:
            module = f"model.layers.{number}.{place}"
            shape = sides.get(place.rpartition(".")[2], (width,))
            yield f"{module}.weight", shape
            if family == "qwen2" and module.endswith(("q_proj", "k_proj", "v_proj")):
                yield f"{module}.bias", shape[:1]
    yield f"model.{behind}.weight", (width,)
    yield "lm_head.weight", (config["vocab_size"], width)
