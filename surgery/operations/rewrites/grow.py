"""Grow in depth: further blocks that change nothing yet."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from surgery.charts import Chart
from surgery.depth import arranged, by_list
from surgery.edits import Edit, SetTensor
from surgery.fields import Targets, option
from surgery.lazy import recipe
from surgery.model import Patient
from surgery.operation import operation
from surgery.rewriting.rewrite import Rewrite
from surgery.rewriting.silencing import silenced_by
from surgery.rewriting.spread import by_block


@operation(title="Grow", group="arrange", source="LLaMA Pro: Wu et al. 2024, arXiv:2401.02415")
class Grow(Rewrite):
    """Behind each target stands a copy of it that adds zero: the model is deeper and computes the very same.

    Fields: `targets`: items of a ModuleList or Sequential (in a transformers model: its blocks) that return
    their input plus something. In the copy the weights and biases, of any shape, of what comes last before
    each addition are zero: the output projections of attention and MLP. So x + 0 is returned, which is x bit
    for bit, and training starts from the model as it is. They are found in the graph of the block. KV cache
    and config follow, as in `duplicate`. All else in a copy is its own. Refused: blocks that normalise after
    the addition (post-norm), that add what ends in no linear layer, such as a mixture of experts, or hand on
    more than one result; modules that are no block; families of transformers that are not proved yet; models
    without example inputs.
    """

    targets: Targets = option(help="the blocks that get a copy behind them")

    def find(self, patient: Patient) -> Any:
        by_list(patient, self.targets.paths, "grow")  # refuses what is no block
        return [[path, silenced_by(patient, path, "grow")] for path in self.targets.paths]

    def chart(self, patient: Patient, data: Sequence[Any]) -> Chart:
        """How large the weights are that are zero in the copies."""
        sizes = {
            f"{path}.{name}": float(tensor.parameter.detach().double().norm())
            for path, names in self.places()
            for name in names
            if len((tensor := patient.tensor(f"{path}.{name}")).shape) > 1
        }
        return by_block("Norm of each weight that is zero in the copy", sizes, "")

    def plan(self, patient: Patient) -> Iterator[Edit]:
        names = dict(self.places())
        orders: dict[str, list[int]] = {}
        zeroed: list[tuple[str, str]] = []
        for parent, indices in by_list(patient, self.targets.paths, "grow").items():
            orders[parent] = order = []
            items = list(patient.module(parent)._modules)
            for index in range(patient.items(parent)):
                order += [index] * (1 + (index in indices))
                if index in indices:
                    source = f"{parent}.{items[index]}".lstrip(".")
                    copy = f"{parent}.{len(order) - 1}".lstrip(".")
                    zeroed += [(f"{source}.{name}", f"{copy}.{name}") for name in names[source]]
        shapes = {source: patient.tensor(source) for source, _ in zeroed}
        yield from arranged(patient, orders, "grow")
        for source, copy in zeroed:
            like = shapes[source]
            yield SetTensor(copy, recipe("zeros", shape=like.shape, dtype=like.dtype))
