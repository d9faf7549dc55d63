"""Mixtures of experts: fused and looped ones of transformers, and one routed in Python."""

from typing import Any

import torch
from torch import Tensor, nn

from tests.zoo.building import GROUPED, Inputs, decoder, ids
from tests.zoo.decoders import latent


def _mixtral(**more: Any) -> nn.Module:
    return decoder(
        "MixtralConfig",
        "MixtralForCausalLM",
        **GROUPED,
        num_hidden_layers=2,
        num_local_experts=4,
        num_experts_per_tok=2,
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
        **GROUPED,
        moe_intermediate_size=16,
        shared_expert_intermediate_size=24,
        num_hidden_layers=3,
        mlp_only_layers=[0],
        num_experts=4,
        num_experts_per_tok=2,
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


class _Expert(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.up, self.down = nn.Linear(width, 2 * width), nn.Linear(2 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        return self.down(self.up(x).relu())


class _Weighted(nn.Module):
    def __init__(self, width: int, experts: int) -> None:
        super().__init__()
        self.router = nn.Linear(width, experts)
        self.experts = nn.ModuleList(_Expert(width) for _ in range(experts))

    def forward(self, x: Tensor) -> Tensor:
        weights = self.router(x).softmax(dim=-1)
        out = torch.zeros_like(x)
        for index, expert in enumerate(self.experts):
            out = out + weights[..., index : index + 1] * expert(x)
        return x + out


class _Mixture(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(_Weighted(8, 4) for _ in range(2))

    def forward(self, x: Tensor) -> Tensor:
        for block in self.blocks:
            x = block(x)
        return x


def mixture() -> tuple[nn.Module, Inputs]:
    """Every expert sees everything, each a module, and the router weighs what they say."""
    torch.manual_seed(0)
    return _Mixture().eval(), {"x": torch.randn(2, 5, 8)}


# Routers that choose two of three groups of four experts first.
_GROUPS = {"n_routed_experts": 12, "num_experts_per_tok": 3, "n_group": 3, "topk_group": 2}


def deepseek_v2() -> tuple[nn.Module, Inputs]:
    """A router that takes the best groups by their best expert."""
    return latent(2, topk_method="group_limited_greedy", **_GROUPS)


def deepseek_v3() -> tuple[nn.Module, Inputs]:
    """A router that takes the best groups by their two best experts, with a bias that is a buffer."""
    model, inputs = latent(3, **_GROUPS)
    torch.manual_seed(1)
    for name, buffer in model.named_buffers():
        if name.endswith("e_score_correction_bias"):
            buffer.normal_(std=0.1)
    return model, inputs


def qwen3_moe() -> tuple[nn.Module, Inputs]:
    """Blocks of experts without a shared one, their weights summing to one."""
    model = decoder(
        "Qwen3MoeConfig",
        "Qwen3MoeForCausalLM",
        **GROUPED,
        moe_intermediate_size=16,
        num_hidden_layers=2,
        num_experts=6,
        num_experts_per_tok=2,
        norm_topk_prob=True,
        head_dim=8,
    )
    return model, {"input_ids": ids()}
