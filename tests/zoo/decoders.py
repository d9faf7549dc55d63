"""Decoders of transformers: causal language models that keep keys and values."""

from typing import Any

from torch import nn

from tests.zoo.building import GROUPED, SIZES, Inputs, decoder, ids


def llama() -> tuple[nn.Module, Inputs]:
    """A decoder with grouped queries and tied embeddings: 4 blocks, width 32."""
    settings = GROUPED | {"num_hidden_layers": 4, "tie_word_embeddings": True}
    return decoder("LlamaConfig", "LlamaForCausalLM", **settings), {"input_ids": ids()}


def qwen2() -> tuple[nn.Module, Inputs]:
    """A decoder with biases in q, k and v, and its own head."""
    settings = GROUPED | {"num_hidden_layers": 3, "tie_word_embeddings": False}
    return decoder("Qwen2Config", "Qwen2ForCausalLM", **settings), {"input_ids": ids()}


def gpt2() -> tuple[nn.Module, Inputs]:
    """A decoder with fused attention weights stored transposed (Conv1D), and tied embeddings."""
    model = decoder("GPT2Config", "GPT2LMHeadModel", n_embd=32, n_layer=3, n_head=4, n_positions=64)
    return model, {"input_ids": ids()}


def qwen3() -> tuple[nn.Module, Inputs]:
    """A decoder that norms queries and keys per head; a head is wider than the hidden size over heads."""
    settings = GROUPED | {"num_hidden_layers": 2, "head_dim": 12, "tie_word_embeddings": False}
    return decoder("Qwen3Config", "Qwen3ForCausalLM", **settings), {"input_ids": ids()}


def gemma3() -> tuple[nn.Module, Inputs]:
    """A decoder whose every third block attends to all, the others to a window of four; tied, scaled."""
    settings = GROUPED | {
        "num_hidden_layers": 6,
        "layer_types": ["sliding_attention", "sliding_attention", "full_attention"] * 2,
        "sliding_window": 4,
        "num_key_value_heads": 1,
        "head_dim": 8,
    }
    return decoder("Gemma3TextConfig", "Gemma3ForCausalLM", **settings), {"input_ids": ids()}


def neox() -> tuple[nn.Module, Inputs]:
    """A decoder with attention and MLP side by side, one fused projection, rotation of a part of a head."""
    settings = SIZES | {"intermediate_size": 64, "num_hidden_layers": 2}
    return decoder("GPTNeoXConfig", "GPTNeoXForCausalLM", **settings), {"input_ids": ids()}


def latent(version: int, **more: Any) -> tuple[nn.Module, Inputs]:
    """DeepSeek: attention with keys and values of a narrow rank, experts behind a block with none."""
    settings = GROUPED | {
        "moe_intermediate_size": 16,
        "num_hidden_layers": 3,
        "first_k_dense_replace": 1,
        "num_key_value_heads": 4,
        "q_lora_rank": 12,
        "kv_lora_rank": 16,
        "qk_rope_head_dim": 4,
        "qk_nope_head_dim": 8,
        "v_head_dim": 6,
        "n_shared_experts": 1,
    }
    name = f"DeepseekV{version}"
    return decoder(f"{name}Config", f"{name}ForCausalLM", **settings | more), {"input_ids": ids()}


def deepseek() -> tuple[nn.Module, Inputs]:
    """A decoder with latent attention: keys and values through a narrow rank, a rotated part beside it."""
    return latent(3, n_routed_experts=4, num_experts_per_tok=2, n_group=1, topk_group=1)


def mamba() -> tuple[nn.Module, Inputs]:
    """A decoder without attention: convolutions and a scan over a state that doesn't grow."""
    model = decoder(
        "MambaConfig",
        "MambaForCausalLM",
        hidden_size=16,
        num_hidden_layers=2,
        state_size=4,
        conv_kernel=3,
        time_step_rank=2,
    )
    return model, {"input_ids": ids()}
