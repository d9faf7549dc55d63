"""Insert a module into a list of blocks or a sequence."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from torch import nn

from surgery.depth import followed
from surgery.edits import Arrange, Edit, SetModule, SetTensor
from surgery.fields import Target, option
from surgery.model import Patient
from surgery.modules.passing import as_block
from surgery.modules.register import named_module
from surgery.modules.widths import dtype_at, width_beside
from surgery.operation import Operation, operation
from surgery.places import place_of, refuse_stranger


@operation(title="Insert", group="arrange", source="original")
class Insert(Operation):
    """A registered module stands before or behind an item of a list; the KV cache and config follow.

    Fields: `to`: an item of a ModuleList or Sequential (in a transformers model: one of its blocks);
    `module`: `identity`, `linear` (starts as the identity), `dropout`, `layernorm` or `rmsnorm` (weight one),
    or what an installed package registers, with arguments as in `rmsnorm(eps=1e-6)`; `place`: on which side
    of `to`; `width`: its last dimension, by default the model's hidden size, or what the first or last module
    with parameters of `to` has. The dtype is that of `to`. Inserted linear maps and identities leave outputs
    bit-equal; norms change them. In a transformers model it takes and returns hidden states as a block does,
    blocks with attention are numbered without it, it counts in `num_hidden_layers`, and it has no
    `hidden_states` of its own. Refused: places that are no item of a list, modules and arguments that are
    not registered, widths that do not fit, families of transformers that are not proved yet.
    """

    to: Target = option(help="the item beside which it stands")
    module: str = option(
        help="`identity`, `linear`, `dropout`, `layernorm`, `rmsnorm`, arguments in brackets"
    )
    place: Literal["before", "after"] = option("before", help="on which side of it")
    width: int | None = option(None, help="its last dimension, where the place does not tell", minimum=1)

    def plan(self, patient: Patient) -> Iterator[Edit]:
        beside = str(self.to)
        parent, goal = patient.block_list(beside, "insert")
        refuse_stranger(patient, beside, "insert")
        place, fresh = place_of(patient, beside), named_module(self.module, "layer")
        width = width_beside(patient, beside, self.place, self.width, fresh)
        dtype = dtype_at(patient, beside)

        def build(there: nn.Module) -> nn.Module:
            made = fresh.build(width, dtype)
            return (as_block(made, place.pair) if place else made).train(there.training)

        at = goal + (self.place == "after")
        order = list(range(patient.items(parent)))
        order.insert(at, goal)
        path = f"{parent}.{at}".lstrip(".")
        yield Arrange(parent, tuple(order))
        yield SetModule(path, build)
        for name, tensor in fresh.values(build(patient.root), path).items():
            yield SetTensor(f"{path}.{name}", tensor)
        yield from followed(patient, parent, order, "insert", {at: ()})
