"""The attention heads of a model, by the layer that they lead to: there each has columns of its own."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from torch import Tensor

from graph.paths import is_below
from surgery.adapters.lora import is_linear, is_transposed
from surgery.advise.advice import Item
from surgery.errors import SurgeryError
from surgery.model import Patient
from surgery.widths.heads import heads
from surgery.widths.part import Part


@dataclass(frozen=True)
class Outlet:
    """`count` heads of the attention at `path`, and the `linear` layer that takes them side by side.

    A head is what `narrow` takes out as one: query heads that share keys and values go together, `each` of
    them. It has `size` inputs of the layer.
    """

    path: str
    linear: str
    count: int
    size: int
    each: int

    def apart(self, given: Tensor) -> Tensor:
        """What the layer is given (…, inputs) head by head, (…, heads, size)."""
        return given.reshape(*given.shape[:-1], self.count, self.size)

    def spread(self, gates: Tensor) -> Tensor:
        """A number per head (…, heads) as one per input of the layer, (…, inputs)."""
        return gates.repeat_interleave(self.size, -1)


def outlets(patient: Patient, chosen: tuple[str, ...] | None) -> list[Outlet]:
    """The outlets of all attention layers at or below the `chosen` paths, None for all.

    SurgeryError where there is no attention whose heads are known.
    """
    found: list[Outlet] = []
    for part in heads(patient):
        here = list(_of_part(patient, part))
        # A part of several layers, such as all of T5's that share a bias, is told layer by layer.
        found += here if len(here) > 1 else [replace(item, path=part.path) for item in here]
    if chosen is not None:
        found = [item for item in found if any(is_below(item.linear, path) for path in chosen)]
    if not found:
        raise SurgeryError(
            "there is no attention here whose heads are known",
            got=type(patient.root).__name__ if chosen is None else ", ".join(chosen[:3]),
            hint="an adviser of blocks or modules",
        )
    return found


def _of_part(patient: Patient, part: Part) -> Iterator[Outlet]:
    for cut in part.cuts:
        linear, _, name = cut.path.rpartition(".")
        module = patient.module(linear)
        if name != "weight" or not is_linear(module) or cut.dim != (0 if is_transposed(module) else 1):
            continue
        start, size = cut.sections[0]
        if (
            len(cut.sections) == 1
            and start == 0
            and size * part.count == patient.tensor(cut.path).shape[cut.dim]
        ):
            yield Outlet(linear.rpartition(".")[0], linear, part.count, size, part.per_unit)


def some_shared(found: list[Outlet]) -> tuple[str, ...]:
    """The sentence on heads that go together, if any do."""
    most = max(item.each for item in found)
    if most == 1:
        return ()
    return (f"A head here is {most} query heads that share keys and values: `narrow` takes out these.",)


def items_of(found: list[Outlet]) -> list[Item]:
    """All heads of these outlets, in order."""
    return [Item(item.path, index) for item in found for index in range(item.count)]
