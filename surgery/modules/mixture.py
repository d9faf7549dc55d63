"""A mixture of experts made of modules: a router sends each token to a few of them."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn
from torch._subclasses.fake_tensor import DataDependentOutputException


class Router(nn.Linear):
    """Scores of the experts for tokens, (tokens, width) to (tokens, experts); the best `top_k` are taken."""

    def __init__(self, width: int, experts: int, top_k: int) -> None:
        super().__init__(width, experts, bias=False)
        self.top_k = top_k


class Mixture(nn.Module):
    """Σ gᵢ Eᵢ(x) over the `gate.top_k` experts of highest score, for each token by itself.

    With `weighed` the gates g are the softmax over the scores of those that were chosen, so they sum to one;
    without it each is exactly one, and has the slope that the softmax has, so that the router can be trained.
    What is given is (…, width), what comes back (…, width of the experts' results).
    """

    gate: Router
    experts: nn.ModuleList

    def __init__(self, gate: Router, experts: Sequence[nn.Module], *, weighed: bool) -> None:
        super().__init__()
        self.gate, self.experts, self.weighed = gate, nn.ModuleList(experts), weighed

    def forward(self, hidden_states: torch.Tensor) -> torch.Tensor:
        """The experts' results, added in float32 or wider."""
        tokens = hidden_states.reshape(-1, hidden_states.shape[-1])
        wide = torch.promote_types(tokens.dtype, torch.float32)
        scores, chosen = self.gate(tokens).to(wide).topk(self.gate.top_k, dim=-1)
        gates = scores.softmax(-1)
        if not self.weighed:
            gates = 1 + (gates - gates.detach())
        order = chosen.flatten().argsort(stable=True)
        counts = _counts(chosen, len(self.experts))
        parts = tokens[order // self.gate.top_k].split(counts)
        pairs = zip(self.experts, parts, strict=True)
        found = [expert(part) for expert, part in pairs if _asked(part) or not len(tokens)]
        results = torch.cat(found)[order.argsort()].unflatten(0, chosen.shape)
        mixed: torch.Tensor = (results.to(wide) * gates.unsqueeze(-1)).sum(1)
        return mixed.to(hidden_states.dtype).view(*hidden_states.shape[:-1], mixed.shape[-1])


def _counts(chosen: torch.Tensor, experts: int) -> list[int]:
    """How many tokens go to each expert; where there are shapes alone, as many to one as to another."""
    numbers = torch.arange(experts, device=chosen.device)
    try:
        found: list[int] = (chosen.flatten() == numbers[:, None]).sum(1).tolist()
    except DataDependentOutputException:
        each, more = divmod(chosen.numel(), experts)
        return [each + (place < more) for place in range(experts)]
    return found


def _asked(part: torch.Tensor) -> bool:
    """Whether an expert is called: with no token it is only where there are shapes alone, to be seen."""
    return len(part) > 0 or isinstance(part, torch._subclasses.FakeTensor)


class Joined(nn.Module):
    """Experts that are fewer than a router knows: expert i of the router is number `places[i]` of `base`.

    It stands where transformers has `experts`, which are given tokens, whom each is sent to, and the gates.
    """

    def __init__(self, base: nn.Module, places: tuple[int, ...]) -> None:
        super().__init__()
        self.base, self.places = base, places

    def forward(
        self, hidden_states: torch.Tensor, top_k_index: torch.Tensor, top_k_weights: torch.Tensor
    ) -> torch.Tensor:
        """What the experts that are left make of it; one that is chosen twice counts twice."""
        places = torch.tensor(self.places, device=top_k_index.device)
        result: torch.Tensor = self.base(hidden_states, places[top_k_index], top_k_weights)
        return result
