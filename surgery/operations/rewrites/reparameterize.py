"""Make one convolution of parallel branches."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from torch import nn

from graph.paths import is_below
from surgery.charts import Chart
from surgery.edits import Edit, SetModule, SetTensor
from surgery.errors import SurgeryError
from surgery.fields import Targets, option
from surgery.lazy import Lazy, Recipe
from surgery.model import Patient
from surgery.modules.passing import Silent
from surgery.operation import operation
from surgery.recipes import compute
from surgery.rewriting.branches import Branch, sums
from surgery.rewriting.kernels import bias_of, kernel_of, total
from surgery.rewriting.rewrite import Rewrite
from surgery.rewriting.spread import by_block


@operation(title="Reparameterize", group="adjust", source="RepVGG: Ding et al. 2021, arXiv:2101.03697")
class Reparameterize(Rewrite):
    """Convolutions and batch norms that read one tensor and are added are one convolution.

    Fields: `targets`: what contains such branches, by default the whole model. A branch is a convolution
    with or without a batch norm, or a batch norm alone (an identity). Norms are folded, small kernels put in
    the middle of the largest, (outputs, inputs, …), an identity is a kernel with one number per channel; the
    sum of them is the weight of the branch with the largest kernel, and so are the biases. The other branches
    give the number zero from then on, so the forward stays as it is written. What the model computes in
    evaluation mode stays, which is proved in float64 before the step is kept. Left alone, and refused where
    nothing else is there: branches with other strides, groups, widths, dilation or padding, or of which
    something else reads a part; tied or reused modules; norms in training mode or without running statistics;
    models without example inputs.
    """

    targets: Targets = option("**", help="what contains the branches")

    def find(self, patient: Patient) -> Any:
        found, refused = [], None
        for item in sums(patient, "reparameterize"):
            if isinstance(item, SurgeryError):
                refused = refused or item
            elif all(any(is_below(b.last, path) for path in self.targets.paths) for b in item.branches):
                found.append([[branch.layer, branch.norm] for branch in item.branches])
        if not found:
            raise refused or SurgeryError(
                "contains no branches of convolutions that read one tensor and are added",
                path=self.targets.select,
            )
        return found

    def chart(self, patient: Patient, data: Sequence[Any]) -> Chart:
        """How large each branch is beside the others of its sum, by the norm of its kernel."""
        parts: dict[str, float] = {}
        for branches in self._branches():
            sizes = {
                branch.last: float(compute(kernel_of(patient, branches[0], branch), {}).norm())
                for branch in branches
            }
            whole = sum(sizes.values()) or 1.0
            parts |= {path: 100 * size / whole for path, size in sizes.items()}
        return by_block("Kernel of each branch, as a part of all in its sum", parts, "%")

    def plan(self, patient: Patient) -> Iterator[Edit]:
        for branches in self._branches():
            lead, *others = branches
            held = patient.tensor(f"{lead.layer}.weight")
            biases = [bias_of(patient, branch) for branch in branches]
            given: list[Recipe] = [bias for bias in biases if bias is not None]
            kernels: list[Lazy] = [kernel_of(patient, lead, branch) for branch in branches]
            yield SetTensor(f"{lead.layer}.weight", total(kernels, held.dtype))
            if given:
                trainable = held.parameter.requires_grad
                yield SetTensor(f"{lead.layer}.bias", total(given, held.dtype), trainable)
            if lead.norm:
                yield SetModule(lead.norm, _identity)
            for branch in others:
                yield from _silenced(patient, branch)

    def _branches(self) -> list[list[Branch]]:
        return [[Branch(layer, norm) for layer, norm in item] for item in self.places()]


def _silenced(patient: Patient, branch: Branch) -> Iterator[Edit]:
    """The branch gives zero: the sequence that it is, or its first module, with nothing behind that."""
    first = branch.layer or branch.norm
    around = first.rpartition(".")[0]
    holder = patient.module(around)
    whole = [f"{around}.{name}" for name in holder._modules]
    if isinstance(holder, nn.Sequential) and set(whole) == {
        name for name in (branch.layer, branch.norm) if name
    }:
        yield SetModule(around, _silent)
        return
    yield SetModule(first, _silent)
    if branch.layer and branch.norm:
        yield SetModule(branch.norm, _identity)


def _silent(there: nn.Module) -> nn.Module:
    return Silent().train(there.training)


def _identity(there: nn.Module) -> nn.Module:
    return nn.Identity().train(there.training)
