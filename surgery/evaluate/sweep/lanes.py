"""The blocks of a candidate, laid beside those of the model it was made from.

A lane says, for each block of the base in turn, what a candidate runs there: the very block of the base,
blocks of its own before or after it, or nothing.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

from torch import nn

from graph.repeats import PLACES
from surgery.evaluate.tape.signature import place_of, signature
from surgery.evaluate.tape.values import Unsayable, digest

SAME = None
"""In a lane, the very block of the base."""


@dataclass(frozen=True, eq=False)
class Lane:
    """`at[j]` is what a candidate runs at block j of the base: modules of its own, and SAME."""

    at: tuple[tuple[nn.Module | None, ...], ...]

    @property
    def first(self) -> int:
        """The first block where it is not the base; as many as there are where it is nowhere."""
        return next((number for number, here in enumerate(self.at) if here != (SAME,)), len(self.at))

    @property
    def calls(self) -> int:
        """How many blocks it runs from there on."""
        return sum(map(len, self.at[self.first :]))


def items_in(model: nn.Module, path: str | None) -> list[nn.Module] | None:
    """The blocks in the list at `path`; None where there is no list or it is empty."""
    if path is None:
        return None
    try:
        found = model.get_submodule(path)
    except AttributeError:
        return None
    items = list(found) if isinstance(found, nn.ModuleList | nn.Sequential) else []
    return items or None


def tensors_beside(model: nn.Module, path: str | None) -> dict[str, Hashable] | None:
    """The tensors outside the list at `path` by name, to be compared; None where one can't be."""
    try:
        places = {name: place_of(tensor) for name, tensor in model.named_parameters()}
        values = {name: digest(tensor) for name, tensor in model.named_buffers()}
    except Unsayable:
        return None
    return {name: said for name, said in (places | values).items() if not name.startswith(f"{path}.")}


def kinship(blocks: Sequence[nn.Module]) -> list[Hashable | None]:
    """For each block what it is, wherever in the model it sits; None where that cannot be said."""
    found: list[Hashable | None] = []
    for block in blocks:
        try:
            found.append(signature(block, leaving_out=PLACES).said)
        except Unsayable:
            found.append(None)
    return found


def lane(base: Sequence[Hashable | None], blocks: Sequence[nn.Module]) -> Lane:
    """The lane of a candidate's `blocks` beside a base of this kinship.

    As many as can be in their order are the base's. The others are the candidate's own: each runs where the
    base's block of its number among them runs, or else behind the one before.
    """
    matches = _rising([_place(known, base) for known in kinship(blocks)])
    at: list[list[nn.Module | None]] = [[] for _ in base]
    last, behind = -1, 0
    for number, (block, match) in enumerate(zip(blocks, matches, strict=True)):
        if match is not None:
            at[match].append(SAME)
            last, behind = match, 0
            continue
        behind += 1
        following = next((later for later in matches[number + 1 :] if later is not None), len(base))
        at[min(max(last, 0) if following - 1 <= last else last + behind, max(following - 1, 0))].append(block)
    return Lane(tuple(map(tuple, at)))


def _place(known: Hashable | None, base: Sequence[Hashable | None]) -> int | None:
    return None if known is None or known not in base else base.index(known)


def _rising(places: list[int | None]) -> list[int | None]:
    """The longest rising run among the places; None for what is not in it."""
    best: list[tuple[int, int | None]] = []  # length of the longest run that ends here, and what came before
    for number, place in enumerate(places):
        earlier = [
            (best[other][0], other)
            for other in range(number)
            if place is not None and places[other] is not None and (places[other] or 0) < place
        ]
        length, before = max(earlier, key=lambda found: found[0], default=(0, None))
        best.append((0 if place is None else length + 1, before))
    kept: list[int | None] = [None] * len(places)
    end: int | None = max(range(len(best)), key=lambda number: best[number][0], default=None)
    while end is not None and places[end] is not None:
        kept[end] = places[end]
        end = best[end][1]
    return kept
