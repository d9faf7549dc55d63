"""SynFlow: how much of what could flow through the model goes through the weights of a place."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import torch
from torch import Tensor, nn

from surgery.advise.advice import Advice
from surgery.advise.case import Case
from surgery.advise.contract import Adviser, adviser
from surgery.advise.gradients.saliency import in_per_cent, per_path, trained
from surgery.errors import SurgeryError
from surgery.evaluate.data.examples import Batch
from surgery.norms import is_norm
from surgery.precision import wide


@adviser(
    title="SynFlow",
    source="Tanaka et al. 2020, arXiv:2006.05467",
    reads="weights",
    cost="a copy of the weights, one forward and one backward pass over a single input",
    unit="%",
)
class Synflow(Adviser):
    """Σ |w| ∂R/∂|w| over the weights of a place, as a part of the model's: R sums its outputs for ones.

    All weights are made positive and the input is all ones; of tokens, what their embedding gives. Batch
    norms are passed by, as in zero-cost NAS (Abdelfattah et al. 2021, arXiv:2101.08134). Other norms divide
    by a root mean square that is taken as given: they would cancel the flow, and without them what gated MLPs
    multiply has no end. What flows is conserved: where there is ReLU alone and no bias, each layer that all
    goes through has the same. Queries and keys have none, since all tokens are alike.
    """

    def score(self, case: Case) -> Advice:
        held = trained(case)
        for parameter in held.values():  # of the shell: what it shares with the session is not written to
            parameter.data = parameter.detach().abs()
        one = case.examples.batch(0, 1).to(case.device)
        inputs = {
            name: torch.ones_like(value) if value.is_floating_point() else value
            for name, value in one.inputs.items()
        }
        handles = [
            module.register_forward_hook(instead)
            for module in case.model.modules()
            if (instead := _instead(module)) is not None
        ]
        try:
            with torch.enable_grad():
                flow = _flow(case, Batch(inputs))
                found = torch.autograd.grad(flow, [*held.values()], allow_unused=True, materialize_grads=True)
        finally:
            for handle in handles:
                handle.remove()
        by_name = {name: (wide(slope) * held[name].detach()) for name, slope in zip(held, found, strict=True)}
        case.step(1, 1, "one input of ones")
        return case.advice(self, case.paths, in_per_cent(per_path(case, held, by_name), by_name))


def _flow(case: Case, batch: Batch) -> Tensor:
    logits = case.runner.passed(batch, whole=True)
    if logits is None:
        raise SurgeryError(
            "the model gives no tensor whose sum could be taken", hint="the model with its head"
        )
    total = wide(logits).sum()
    if not bool(total.isfinite()):
        raise SurgeryError(
            "with positive weights the outputs are no numbers any longer",
            got=float(total),
            expected="finite",
            hint="`snip`, which takes the weights as they are",
        )
    return total


def _instead(module: nn.Module) -> Callable[[Any, Any, Any], Any] | None:
    """What a module is to give instead of its output; None for what it gives."""
    if isinstance(module, nn.Embedding):
        return lambda module, args, output: torch.ones_like(output)
    if isinstance(module, nn.modules.batchnorm._BatchNorm):
        return lambda module, args, output: args[0]
    gain = module._parameters.get("weight")
    return _scaled if is_norm(module) and gain is not None and gain.dim() == 1 else None


def _scaled(module: nn.Module, args: tuple[Any, ...], output: Tensor) -> Tensor:
    """The input over its root mean square, times the gains, and the biases where there are some."""
    given, weight = cast("Tensor", args[0]), cast("Tensor", module.weight)
    last = given.shape[-1] == len(weight)
    dims = (-1,) if last else tuple(range(1, given.dim()))
    size = given.detach().float().square().mean(dims, keepdim=True).sqrt().clamp_min(1e-12).to(given.dtype)
    shape = (-1,) if last else (-1, *[1] * (given.dim() - 2))
    # Of ones, a norm by root mean square gives its gains, which are 1 + w in some; one that centres, none.
    gains = module.forward(torch.ones_like(weight)) if "RMSNorm" in type(module).__name__ else weight
    found = given / size * gains.view(shape)
    bias = module._parameters.get("bias")
    return found if bias is None else found + bias.view(shape)
