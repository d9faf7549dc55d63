"""Duplicate blocks: a deeper model."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from surgery.depth import arranged, by_list
from surgery.edits import Edit
from surgery.fields import Targets, option
from surgery.model import Patient
from surgery.operation import Operation, operation


@operation(
    title="Duplicate", group="arrange", source="depth up-scaling after Kim et al. 2023, arXiv:2312.15166"
)
class Duplicate(Operation):
    """The blocks are there twice; the model is deeper, and the KV cache and config follow.

    Fields: `targets`, items of a ModuleList or Sequential (in a transformers model: its blocks); `order`:
    whether the copies stand behind the last of them as they stand themselves, or each behind its own;
    `shared`: whether a copy shares the parameters of its block instead of having its own. Shapes stay.
    Refused: modules that are no block, families of transformers that are not proved yet.
    """

    targets: Targets = option(help="the blocks that are there twice then")
    order: Literal["span", "each"] = option(
        "span", help="copies behind them all (1 2 1 2), or each behind its own (1 1 2 2)"
    )
    shared: bool = option(False, help="copies share the parameters of their blocks")

    def plan(self, patient: Patient) -> Iterator[Edit]:
        orders: dict[str, list[int]] = {}
        for parent, indices in by_list(patient, self.targets.paths, "duplicate").items():
            order = list(range(patient.items(parent)))
            if self.order == "span":
                behind = max(indices) + 1
                order[behind:behind] = sorted(indices)
            else:
                order = [index for index in order for _ in range(1 + (index in indices))]
            orders[parent] = order
        yield from arranged(patient, orders, "duplicate", own=not self.shared)
