"""GraSP: whether the gradient grows or shrinks where the weights of a place go."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from surgery.advise.advice import Advice
from surgery.advise.case import Case
from surgery.advise.contract import Adviser, adviser
from surgery.advise.gradients.saliency import averaged, per_path, trained
from surgery.advise.loss import Loss
from surgery.evaluate.data.examples import Batch


@adviser(
    title="GraSP",
    source="Wang et al. 2020, arXiv:2002.07376",
    reads="gradients",
    cost="one forward and two backward passes over the examples, and the memory of both",
    unit="nats²",
    low_is_cheap=False,
)
class Grasp(Adviser):
    """−Σ w · (H g) over the weights of a place: by so much ½ g² changes without them, to first order.

    g is the gradient of the loss of a batch and H its Hessian; the mean is over batches. High: without these
    weights the gradient is larger, so what is left learns faster, and the paper cuts them first.
    """

    def score(self, case: Case) -> Advice:
        loss = Loss(case)
        held = trained(case)
        weights = [*held.values()]

        def curvature(batch: Batch) -> tuple[Tensor, ...]:
            # The quick kernels of attention have no second derivative.
            with torch.enable_grad(), sdpa_kernel(SDPBackend.MATH):
                value = loss.each(batch).mean()
                given = torch.autograd.grad(
                    value, weights, create_graph=True, allow_unused=True, materialize_grads=True
                )
                product = torch.stack([(slope * slope.detach()).sum() for slope in given]).sum()
                found = torch.autograd.grad(product, weights, allow_unused=True, materialize_grads=True)
            return tuple(-len(batch) * w.detach() * hg for w, hg in zip(weights, found, strict=True))

        return case.advice(self, case.paths, per_path(case, held, averaged(case, loss, held, curvature)))
