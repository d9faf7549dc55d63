"""Expert usage: the share of the tokens that each expert is sent."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from graph.paths import is_among
from surgery.advise.advice import Advice, Item
from surgery.advise.case import Case
from surgery.advise.contract import Adviser, adviser
from surgery.errors import SurgeryError
from surgery.evaluate.data.examples import Batch


@adviser(
    title="Expert usage",
    source="Muzio et al. 2024 (SEER-MoE), arXiv:2404.05089",
    reads="examples",
    cost="one forward pass over the examples",
    unit="%",
    edit="narrow",
)
class ExpertUsage(Adviser):
    """The share of a mixture's routes, real tokens times the experts each is sent to, that an expert has.

    All of a mixture's add up to 100 %, and one that is never chosen has 0. Routers are those that
    transformers calls `gate`, beside `experts`.
    """

    def score(self, case: Case) -> Advice:
        gates = _gates(case)
        counts = {path: torch.zeros(len(gate.weight), dtype=torch.float64) for path, gate in gates.items()}

        def routed(batch: Batch) -> list[tuple[str, Tensor]]:
            found: list[tuple[str, Tensor]] = []
            handles = []
            for path, gate in gates.items():

                def look(_: nn.Module, args: Any, output: Any, path: str = path, gate: Any = gate) -> None:
                    chosen = _real(_chosen(output, gate, path), batch)
                    found.append((path, torch.bincount(chosen.flatten(), minlength=len(gate.weight))))

                handles.append(gate.register_forward_hook(look))
            try:
                case.runner.passed(batch, whole=False)
            finally:
                for handle in handles:
                    handle.remove()
            return found

        for found, _ in case.over(routed):
            for path, more in found:
                counts[path] += more.cpu().double()
        items = [Item(path, index) for path, held in counts.items() for index in range(len(held))]
        numbers = torch.cat([100 * held / held.sum() for held in counts.values()])
        return case.advice(self, items, numbers, part="expert")


def _gates(case: Case) -> dict[str, Any]:
    """The routers of the mixtures, by the path of the mixture."""
    found = {}
    for path, module in case.patient.walk():
        gate, beside = module._modules.get("gate"), module._modules.get("experts")
        weight = None if gate is None else gate._parameters.get("weight")
        near = case.chosen is None or is_among(path, case.chosen)
        if beside is not None and weight is not None and weight.dim() == 2 and near:
            found[path] = gate
    if not found:
        raise SurgeryError(
            "there are no experts here: no `gate` beside `experts`", got=type(case.model).__name__
        )
    return found


def _chosen(output: Any, gate: Any, path: str) -> Tensor:
    """Which experts each token is sent to, (tokens, experts per token) int64."""
    given = output if isinstance(output, tuple) else (output,)
    for tensor in reversed(given):
        if isinstance(tensor, Tensor) and tensor.dtype == torch.int64:
            return tensor.reshape(-1, tensor.shape[-1])
    logits, most = given[0], getattr(gate, "top_k", None)
    if not isinstance(logits, Tensor) or not isinstance(most, int):
        raise SurgeryError("this router does not say whom it chooses", path=f"{path}.gate")
    chosen: Tensor = logits.reshape(-1, logits.shape[-1]).topk(most, -1).indices
    return chosen


def _real(chosen: Tensor, batch: Batch) -> Tensor:
    """The same without padding, where a row is a token."""
    real = batch.real
    return chosen[real.flatten()] if real is not None and real.numel() == len(chosen) else chosen
