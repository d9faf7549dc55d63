"""What becomes of weights when adapters are made part of them, right where a weight is tied."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from surgery.adapters.adapter import base_of, root_of
from surgery.adapters.stacks import Stack, distinct, inner_first, outermost, root_path, slot_at, stack_at
from surgery.edits import Edit, SetModule, SetTensor
from surgery.errors import SurgeryError
from surgery.lazy import Lazy
from surgery.model import Patient


@dataclass(frozen=True)
class Work:
    """A module with its stack at `path`: what of it is folded in, how many stay, which tensors change."""

    path: str
    folded: Stack
    left: int
    changed: dict[str, Lazy]


def fold(patient: Patient, chosen: Stack) -> Iterator[Edit]:
    """The chosen adapters, all active, are part of the weights they adapt, and gone.

    SurgeryError where an adapter is no change of a weight, lies around one that stays and does not
    add up with it, or where a weight is tied to a place that would not change in the same way.
    """
    picked = {slot_at(patient, path) for path, _ in chosen}
    works = [
        _work(patient, path, picked) for path in dict.fromkeys(outermost(patient, path) for path, _ in chosen)
    ]
    for work in works:
        _refuse_torn(patient, work, picked)
    removed = inner_first([item for work in works for item in work.folded])
    for path in distinct(patient, [path for path, _ in removed]):
        yield SetModule(path, base_of)
    written: dict[int, Lazy] = {}
    for work in works:
        inner, place = root_path(patient, work.path), work.path + ".base" * work.left
        for name, tensor in work.changed.items():
            key = id(patient.tensor(f"{inner}.{name}").parameter)
            yield SetTensor(f"{place}.{name}", written.setdefault(key, tensor))  # a tie stays one


def changed_by(patient: Patient, path: str, folded: Stack) -> dict[str, Lazy]:
    """The parameters of the module inside all adapters at `path` that are others with these folded in."""
    inner, root = root_path(patient, path), root_of(patient.module(path))
    now: dict[str, Lazy] = {
        name: patient.tensor(f"{inner}.{name}")
        for name in ("weight", "bias")
        if root._parameters.get(name) is not None
    }
    changed: dict[str, Lazy] = {}
    for place, adapter in folded:
        own: dict[str, Lazy] = {name: patient.tensor(f"{place}.{name}") for name in adapter._parameters}
        changed |= adapter.folded(own, now)
        now |= changed
    return changed


def _work(patient: Patient, path: str, picked: set[tuple[int, str]]) -> Work:
    folded: Stack = []
    kept: Stack = []
    for place, item in stack_at(patient, path):
        if slot_at(patient, place) not in picked:
            kept.append((place, item))
            continue
        folded.append((place, item))
        if item.unfoldable is not None:
            raise SurgeryError(
                f"the adapter {item.name!r} here {item.unfoldable}",
                path=place,
                got=item.kind,
                hint=f'`detach("{path}", "{item.name}")`, or keeping it',
            )
        apart = next((other for _, other in kept if not (item.additive and other.additive)), None)
        if apart is not None:
            raise SurgeryError(
                f"lies around the adapter {apart.name!r}, which stays and would change what this one is",
                path=place,
                hint=f'folding {apart.name!r} as well, or `detach("{path}", "{apart.name}")` first',
            )
    return Work(path, folded, len(kept), changed_by(patient, path, folded))


def _refuse_torn(patient: Patient, work: Work, picked: set[tuple[int, str]]) -> None:
    """SurgeryError if a tensor that changes stands at a path where the same is not folded into it."""
    inner = root_path(patient, work.path)
    for name in work.changed:
        places = patient.sites()[id(patient.tensor(f"{inner}.{name}").parameter)]
        for place in places:
            stack = stack_at(patient, outermost(patient, place.rpartition(".")[0]))
            theirs = [(path, item) for path, item in stack if slot_at(patient, path) in picked]
            if not _alike(work.folded, theirs):
                raise SurgeryError(
                    f"its {name} is tied, and folding would change every path of the tie",
                    path=work.path,
                    got=" and ".join(places),
                    hint=f'`untie("{inner}")` first, or detach',
                )


def _alike(one: Stack, other: Stack) -> bool:
    """Whether two stacks do the same: the very parameters, read in the same way."""
    return len(one) == len(other) and all(
        mine is theirs or (mine.reading() == theirs.reading() and _held(mine) == _held(theirs))
        for (_, mine), (_, theirs) in zip(one, other, strict=True)
    )


def _held(adapter: object) -> list[int]:
    return [id(item) for item in getattr(adapter, "_parameters", {}).values()]
