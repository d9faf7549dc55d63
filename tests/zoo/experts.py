"""Mixtures of experts: fused and looped ones of transformers, and one routed in Python."""

from typing import Any

import torch
from torch import Tensor, nn

from tests.zoo.building import Inputs, decoder, ids

_SIZES = {
    "hidden_size": 32,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 64,
}


def _mixtral(**more: Any) -> nn.Module:
    return decoder(
        "MixtralConfig",
        "MixtralForCausalLM",
        intermediate_size=48,
        num_hidden_layers=2,
        num_local_experts=4,
        num_experts_per_tok=2,
        **_SIZES,
        **more,
    )


def mixtral() -> tuple[nn.Module, Inputs]:
    """Experts as two tensors, multiplied in groups: what transformers does unless told otherwise."""
    return _mixtral(), {"input_ids": ids()}


def mixtral_eager() -> tuple[nn.Module, Inputs]:
    """The same experts in a loop over those that were hit, which only values can tell."""
    return _mixtral(experts_implementation="eager"), {"input_ids": ids()}


def qwen_moe() -> tuple[nn.Module, Inputs]:
    """Blocks of experts with a gated shared expert, and one block with an ordinary MLP."""
    model = decoder(
        "Qwen2MoeConfig",
        "Qwen2MoeForCausalLM",
        intermediate_size=48,
        moe_intermediate_size=16,
        shared_expert_intermediate_size=24,
        num_hidden_layers=3,
        mlp_only_layers=[0],
        num_experts=4,
        num_experts_per_tok=2,
        **_SIZES,
    )
    return model, {"input_ids": ids()}


class _Routed(nn.Module):
    def __init__(self, width: int, experts: int) -> None:
        super().__init__()
        self.router = nn.Linear(width, experts)
        self.experts = nn.ModuleList(
            nn.Sequential(nn.Linear(width, 2 * width), nn.ReLU(), nn.Linear(2 * width, width))
            for _ in range(experts)
        )

    def forward(self, x: Tensor) -> Tensor:
        chosen = self.router(x).argmax(dim=-1)
        out = torch.zeros_like(x)
        for index, expert in enumerate(self.experts):
            rows = chosen == index
            if rows.any():
                out[rows] = expert(x[rows])
        return x + out


class _PythonRouted(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Linear(6, 8)
        self.mixture = _Routed(8, 3)
        self.head = nn.Linear(8, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.mixture(self.stem(x)))


def python_routed() -> tuple[nn.Module, Inputs]:
    """An `if` in Python decides which expert sees which rows."""
    torch.manual_seed(0)
    return _PythonRouted().eval(), {"x": torch.randn(5, 6)}


def _grouped(config: str, head: str, **more: Any) -> nn.Module:
    return decoder(
        config,
        head,
        hidden_size=32,
        intermediate_size=48,
        moe_intermediate_size=16,
        num_hidden_layers=3,
        first_k_dense_replace=1,
        num_attention_heads=4,
        num_key_value_heads=4,
        q_lora_rank=12,
        kv_lora_rank=16,
        qk_rope_head_dim=4,
        qk_nope_head_dim=8,
        v_head_dim=6,
        n_routed_experts=12,
        num_experts_per_tok=3,
        n_shared_experts=1,
        n_group=3,
        topk_group=2,
        max_position_embeddings=64,
        **more,
    )


def deepseek_v2() -> tuple[nn.Module, Inputs]:
    """A router that takes the best groups by their best expert."""
    model = _grouped("DeepseekV2Config", "DeepseekV2ForCausalLM", topk_method="group_limited_greedy")
    return model, {"input_ids": ids()}


def deepseek_v3() -> tuple[nn.Module, Inputs]:
    """A router that takes the best groups by their two best experts, with a bias that is a buffer."""
    model = _grouped("DeepseekV3Config", "DeepseekV3ForCausalLM")
    torch.manual_seed(1)
    for name, buffer in model.named_buffers():
        if name.endswith("e_score_correction_bias"):
            buffer.normal_(std=0.1)
    return model, {"input_ids": ids()}


def qwen3_moe() -> tuple[nn.Module, Inputs]:
    """Blocks of experts without a shared one, their weights summing to one."""
    model = decoder(
        "Qwen3MoeConfig",
        "Qwen3MoeForCausalLM",
        intermediate_size=48,
        moe_intermediate_size=16,
        num_hidden_layers=2,
        num_experts=6,
        num_experts_per_tok=2,
        norm_topk_prob=True,
        **_SIZES | {"head_dim": 8},
    )
    return model, {"input_ids": ids()}
