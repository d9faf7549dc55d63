"""MoLE: several low-rank experts on one linear module, of which a router takes the best for each token."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

from surgery.adapters.adapter import Adapter, Spot, root_of, zeros
from surgery.adapters.kinds.kind import Kind, Settings
from surgery.adapters.lora import LowRank, is_linear, weight_of, widths
from surgery.lazy import Lazy
from surgery.model import Patient


class MoleLinear(LowRank):
    """`base(x) + scale · p_e B_e A_e x` for the expert e with the largest p = softmax(R x), token by token.

    `lora_A` is (experts · rank) × inputs, `lora_B` outputs × (experts · rank): the experts one after another;
    `router` R is experts × inputs. B is zero at first: bit-equal whatever is chosen. All experts are
    computed and all but one multiplied by zero, so that no shape depends on a value.
    """

    kind = "mole"
    unfoldable = "chooses an expert for each token, and no one weight does that"
    experts: int
    lora_A: nn.Parameter  # noqa: N815
    lora_B: nn.Parameter  # noqa: N815
    router: nn.Parameter

    def __init__(self, base: nn.Module, rank: int, alpha: float, experts: int) -> None:
        super().__init__(base)
        root = root_of(base)
        inputs, outputs = widths(root)
        self.ranked(rank, alpha, False)
        self.__dict__["experts"] = experts
        dtype = weight_of(root).dtype
        self.own("lora_A", (experts * rank, inputs), dtype)
        self.own("lora_B", (outputs, experts * rank), dtype)
        self.own("router", (experts, inputs), dtype)

    def starts(self, spot: Spot) -> dict[str, Lazy]:
        a, b, bound = self.lora_A, self.lora_B, self.lora_A.shape[1] ** -0.5
        return {
            "lora_A": spot.uniform("lora_A", tuple(a.shape), a.dtype, bound),
            "lora_B": zeros(tuple(b.shape), b.dtype),
            "router": spot.uniform("router", tuple(self.router.shape), a.dtype, bound),
        }

    def balance_loss(self, x: torch.Tensor) -> torch.Tensor:
        """Experts · Σ fₑ pₑ, one where the router spreads tokens evenly: to be added to a training loss.

        fₑ is the share of the tokens x (…, inputs) that go to e, pₑ the mean of its probability (Fedus et al.
        2021, arXiv:2101.03961).
        """
        p = self._odds(x).flatten(0, -2)
        f = self._taken(p).to(p.dtype).mean(0)
        return self.experts * (f * p.mean(0)).sum()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = self.base(x)
        if not self.active:
            return result
        p = self._odds(x)
        taken = torch.where(self._taken(p), p, 0.0).to(x.dtype)
        each = taken.repeat_interleave(self.rank, -1)
        return result + self.factor * F.linear(each * F.linear(x, self.lora_A), self.lora_B)

    def _taken(self, p: torch.Tensor) -> torch.Tensor:
        return torch.arange(self.experts, device=p.device) == p.argmax(-1, keepdim=True)

    def _odds(self, x: torch.Tensor) -> torch.Tensor:
        return F.linear(x, self.router).softmax(-1, dtype=torch.float32)


def _misfit(module: nn.Module) -> str | None:
    return None if is_linear(module) else "is no linear module"


def _made(patient: Patient, path: str, settings: Settings) -> Adapter:
    return MoleLinear(patient.module(path), settings.rank, settings.scaled, settings.experts)


MOLE = Kind(
    name="mole",
    title="Mixture of LoRA experts",
    source="top-1 routing after Fedus et al. 2021, arXiv:2101.03961, of LoRA experts",
    fields=("rank", "alpha", "experts", "seed"),
    parameters="E*r*(d + o) + E*d",
    exact=True,
    suits="Linear or Conv1D",
    misfit=_misfit,
    make=_made,
)
