"""Heads of attention and neurons that are known by the names of layers, as units that may change places."""

from __future__ import annotations

from typing import Any

from torch import nn

from surgery.alignment.units import Kind, Units
from surgery.errors import SurgeryError
from surgery.model import Patient
from surgery.widths.heads import heads
from surgery.widths.neurons import neurons
from surgery.widths.part import Cut, Part
from surgery.widths.refusals import refuse_sealed


def moving_heads(patient: Patient) -> list[Units]:
    """Heads by attention layer, those that share keys and values as one unit.

    What is inside a head stays: positions that are turned into it pair its entries. Layers that share a
    tensor have one group. Where heads may not move, the group says why.
    """
    parts = [_whole(patient, part) for part in heads(patient)]
    return [_units(patient, together, "heads") for together in _sharing(patient, parts)]


def named_neurons(patient: Patient) -> list[Units]:
    """Neurons by feed-forward layer, where a forward was not followed so far."""
    return [_units(patient, together, "neurons") for together in _sharing(patient, neurons(patient))]


def _whole(patient: Patient, part: Part) -> Part:
    """The part, of torch's own attention with its cuts: it is only for its width that it is refused."""
    module: Any = patient.module(part.path)
    if not isinstance(module, nn.MultiheadAttention):
        return part
    head, wide = module.head_dim, module.embed_dim
    at = f"{part.path}.".lstrip(".")
    fused = tuple((place * wide, head) for place in range(3))
    cuts = [Cut(f"{at}{name}", 0, fused) for name in ("in_proj_weight", "in_proj_bias")]
    cuts += [Cut(f"{at}{name}_proj_weight", 0, ((0, head),)) for name in "qkv"]
    cuts += [Cut(f"{at}bias_{name}", 2, ((0, head),)) for name in "kv"]
    there = [cut for cut in cuts if module._parameters.get(cut.path.rpartition(".")[2]) is not None]
    there.append(Cut(f"{at}out_proj.weight", 1, ((0, head),)))
    return Part(path=part.path, count=part.count, cuts=tuple(there))


def _sharing(patient: Patient, parts: list[Part]) -> list[list[Part]]:
    """Parts with a tensor in common are together."""
    found: list[tuple[set[int], list[Part]]] = []
    for part in parts:
        tensors, together = {id(patient.tensor(cut.path).parameter) for cut in part.cuts}, [part]
        for other in [item for item in found if item[0] & tensors]:
            found.remove(other)
            tensors, together = tensors | other[0], other[1] + together
        found.append((tensors, together))
    return [together for _, together in found]


def _units(patient: Patient, parts: list[Part], kind: Kind) -> Units:
    first = parts[0]
    refused = next((part.refused for part in parts if part.refused), "") if kind == "heads" else ""
    ways: dict[int, set[tuple[int, tuple[tuple[int, int], ...]]]] = {}
    for cut in (cut for part in parts for cut in part.cuts):
        ways.setdefault(id(patient.tensor(cut.path).parameter), set()).add((cut.dim, cut.sections))
    if len({part.count for part in parts}) > 1 or any(len(way) > 1 for way in ways.values()):
        refused = refused or "shares a tensor with another layer that takes it apart in another way"
    try:
        refuse_sealed(patient, [Part(path=part.path, count=part.count, cuts=part.cuts) for part in parts])
    except SurgeryError as error:
        refused = refused or error.problem
    return Units(
        name=first.path,
        path=first.path,
        kind=kind,
        count=first.count,
        members=tuple(part.path for part in parts),
        cuts=tuple(dict.fromkeys(cut for part in parts for cut in part.cuts)),
        refused=refused,
    )
