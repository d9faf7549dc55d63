"""Heads of attention one by one: where their queries, keys and values lie, and how alike they are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from graph.paths import is_among
from surgery.adapters.adapter import Adapter
from surgery.errors import SurgeryError
from surgery.fields import Targets
from surgery.lazy import Held
from surgery.model import Patient, refuse_reused
from surgery.modules.low_rank import LowRankLinear
from surgery.recipes import one_thread
from surgery.unseen import refuse_unseen
from surgery.widths.heads import heads
from surgery.widths.part import Part
from surgery.widths.selecting import parts_among

_BLOCK = 1 << 24  # numbers that are compared at a time


@dataclass(frozen=True)
class Projection:
    """A linear module at `path` whose outputs are `count` heads, one after another."""

    path: str
    count: int
    weight: Held

    def slice_of(self, head: int) -> tuple[int, int]:
        """First row of a head, and the first of the next."""
        rows = self.weight.shape[0] // self.count
        return head * rows, (head + 1) * rows


@dataclass(frozen=True)
class Attention:
    """Queries, keys and values of an attention module with heads, or groups that share keys and values."""

    path: str
    count: int
    projections: tuple[Projection, Projection, Projection]

    @property
    def shapes(self) -> list[tuple[object, ...]]:
        """What must be the same of two whose heads are to share."""
        return [
            (item.weight.shape[0] // item.count, item.weight.shape[1], item.weight.dtype)
            for item in self.projections
        ]


def attentions(patient: Patient, targets: Targets, verb: str) -> list[Attention]:
    """The attention modules among the targets; refused where heads cannot be taken one by one."""
    parts = parts_among(heads(patient), targets, "heads", f"{verb} knows how to take apart")
    found = [_attention(patient, part, verb) for part in parts]
    for item in found:
        if item.shapes != found[0].shapes:
            raise SurgeryError(
                "has heads of other shapes than the first of the targets",
                path=item.path,
                got=", ".join(f"{rows} × {inputs}" for rows, inputs, _ in item.shapes),
                expected=f"those of {found[0].path}",
                hint="a step for each shape",
            )
    return found


def _attention(patient: Patient, part: Part, verb: str) -> Attention:
    weights = [cut for cut in part.cuts if cut.path.endswith(".weight")]
    separate = [cut.dim for cut in weights] == [0, 0, 0, 1] and all(
        len(cut.sections) == 1 and cut.sections[0][0] == 0 for cut in weights
    )
    if not separate:
        raise SurgeryError(
            f"{verb} needs a linear module for each of queries, keys and values, and heads that have keys of "
            "their own",
            path=part.path,
            got=type(patient.module(part.path)).__name__,
            hint="`tie`, for whole modules",
        )
    projections = []
    for cut in weights[:3]:
        path = cut.path.removesuffix(".weight")
        around = path.rpartition(".")[0]
        if isinstance(patient.module(around), Adapter):
            raise SurgeryError(
                "carries an adapter", path=around, hint=f'`fold("{around}")` or `detach` first'
            )
        if isinstance(patient.module(around), LowRankLinear):
            raise SurgeryError(
                "is of low rank: what its outer half does to a head hangs on its inner half, left here",
                path=around,
                hint="`share_heads` first, or other targets",
            )
        refuse_reused(patient, path)
        refuse_unseen(patient, path, verb)
        projections.append(Projection(path, part.count, patient.tensor(cut.path)))
    queries, keys, values = projections
    return Attention(part.path, part.count, (queries, keys, values))


def refuse_tied_outside(patient: Patient, found: Sequence[Attention]) -> None:
    """SurgeryError if one of their weights is tied to a place outside, which would be left behind."""
    sites = patient.sites()
    places = [f"{item.path}.weight" for one in found for item in one.projections]
    for one in found:
        for item in one.projections:
            behind = [place for place in sites[id(item.weight.parameter)] if not is_among(place, places)]
            if behind:
                raise SurgeryError(
                    "its weight is tied to a place that would be left behind",
                    path=item.path,
                    got=behind[0],
                    hint=f'`untie("{item.path}")` first',
                )


Head = tuple[Attention, int]
"""A head by its module and its number there."""


def apart(found: Sequence[Attention]) -> list[list[Head]]:
    """The heads in order, tied ones together; refused where they are tied in part."""
    places: dict[tuple[int, ...], list[Head]] = {}
    owners: dict[tuple[int, int], tuple[int, ...]] = {}
    for one in found:
        key = tuple(id(item.weight.parameter) for item in one.projections)
        for role, (item, tensor) in enumerate(zip(one.projections, key, strict=True)):
            if owners.setdefault((role, tensor), key) != key:
                raise SurgeryError(
                    "its queries, keys and values are not all tied to the same places",
                    path=item.path,
                    hint=f'`untie("{one.path}")` first',
                )
        for head in range(one.count):
            places.setdefault((*key, head), []).append((one, head))
    return list(places.values())


def cosines_of(chosen: Sequence[Head]) -> torch.Tensor:
    """How alike these heads are in [W_q ‖ W_k]: cosines, (heads, heads) float64."""
    first = chosen[0][0].projections
    inputs = first[0].weight.shape[1]
    rows = sum(item.weight.shape[0] // item.count for item in first[:2])
    wide = max(1, _BLOCK // (len(chosen) * rows))
    products = torch.zeros(len(chosen), len(chosen), dtype=torch.float64, device="cpu")
    with torch.no_grad(), one_thread():
        for start in range(0, inputs, wide):
            columns = slice(start, start + wide)
            block = torch.stack(
                [
                    torch.cat([_rows(item, head)[:, columns].cpu() for item in one.projections[:2]])
                    for one, head in chosen
                ]
            )
            flat = block.double().flatten(1)
            products += flat @ flat.T
    if not bool(products.isfinite().all()):
        raise SurgeryError("a weight holds numbers that are not finite", path=chosen[0][0].path)
    lengths = products.diagonal().sqrt()
    return products / (lengths[:, None] * lengths[None, :]).clamp_min(torch.finfo(torch.float64).tiny)


def _rows(item: Projection, head: int) -> torch.Tensor:
    start, end = item.slice_of(head)
    return item.weight.parameter[start:end]


def given_up(cosines: torch.Tensor, count: int) -> list[tuple[int, float]]:
    """The first `count` heads that give up their weights, in turn, each with the cosine that decided it.

    In each turn it is the later one of the two that are most alike of those left; of equal pairs the first.
    """
    pairs = cosines.masked_fill(~torch.ones_like(cosines, dtype=torch.bool).tril(-1), -torch.inf)
    found = []
    for _ in range(count):
        likest = pairs.amax(1)
        head = int(likest.argmax())
        found.append((head, float(likest[head])))
        pairs[head, :] = pairs[:, head] = -torch.inf
    return found


def matched(cosines: torch.Tensor, count: int) -> list[tuple[int, int]]:
    """(head, the likest that is left, whose weights it takes) for `count` heads, in their order."""
    takers = sorted(head for head, _ in given_up(cosines, count))
    among = cosines.clone()
    among[:, takers] = -torch.inf
    return [(head, int(among[head].argmax())) for head in takers]
