"""Edited skeletons, with what each of their tensors stands for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from graph.nodes import ModuleGraph
from graph.shell import alias
from surgery.journal import Journal
from surgery.lazy import Held, Lazy
from surgery.model import private_shell
from surgery.operation import Operation
from surgery.runs import Skeleton, carry_out


@dataclass(frozen=True, eq=False)
class Drawn:
    """A skeleton that `steps`, resolved, have edited, and what its tensors stand for.

    `graph` says which calls read which of them.
    """

    model: nn.Module
    steps: tuple[Operation, ...]
    tensors: tuple[tuple[Tensor, Lazy], ...]
    graph: ModuleGraph | None = None

    @property
    def parameters(self) -> int:
        """How many there are, each counted once."""
        return sum(parameter.numel() for parameter in self.model.parameters())


def drawn(
    model: nn.Module,
    steps: Sequence[Operation] = (),
    inputs: Any = None,
    tokenizer: Any = None,
    graph: ModuleGraph | None = None,
) -> Drawn:
    """A shell of a skeleton on which the steps were carried out; the given one stays as it is.

    What the steps leave as it was lies in the same memory as in `model`, so that blocks can be told to be
    the same. Raises SurgeryError for a step that is refused.
    """
    run = Skeleton()

    def placeholder(parameter: nn.Parameter) -> nn.Parameter:
        made = alias(parameter)
        run.lineage[id(made)] = Held.of(parameter)
        return made

    def copied(buffer: Tensor) -> Tensor:
        made = buffer.clone()
        run.lineage[id(made)] = Held.of(buffer)
        return made

    made = private_shell(model, parameter=placeholder, buffer=copied)
    before = [*made.parameters(), *made.buffers()]  # held, so that no id is used twice
    resolved = tuple(carry_out(step, made, Journal(), run, inputs, tokenizer) for step in steps)
    # What a step took out may be what another was made from.
    tensors = {id(tensor): tensor for tensor in (*before, *run.parameters.values(), *run.buffers.values())}
    known = tuple((tensor, run.lineage[key]) for key, tensor in tensors.items())
    return Drawn(made.eval(), resolved, known, graph)
