"""The groups of units that may change places: neurons, heads, channels, the width of residual streams."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from torch.nn.modules.conv import _ConvNd

from graph.coupling import Group, NotCoupled, Place, reorderable
from surgery.alignment.named import moving_heads, named_neurons
from surgery.alignment.units import Kind, Units
from surgery.errors import SurgeryError
from surgery.model import Patient
from surgery.tracing import values_unchecked
from surgery.widths.part import Cut
from surgery.widths.streams import is_stream, key_of, written_at


def groups(patient: Patient) -> list[Units]:
    """All groups of the model, in the order of the tree, found by following one forward on fakes.

    What goes in or comes out of the model keeps its order, so does what an operator reads of which nobody
    knows what it does. Heads are known by their classes, and neurons by names where they cannot be followed.
    SurgeryError if there is none, without example inputs say.
    """
    made: list[Units] = []
    problem = None
    if patient.inputs is None:
        problem = "there are no example inputs, and which units hang together shows only when the model runs"
    else:
        try:
            with values_unchecked():
                made += _followed(patient, reorderable(patient.root, patient.inputs).groups)
        except NotCoupled as error:
            problem = f"which units hang together cannot be followed: {error}"
    for further in (moving_heads(patient), named_neurons(patient)):
        taken = {(key_of(patient, cut.path), cut.dim) for group in made for cut in group.cuts}
        for group in further:
            ends = {(key_of(patient, cut.path), cut.dim) for cut in group.cuts}
            if group.count > 1 and not ends & taken:  # a layer of one head may have been followed through
                made.append(group)
    if not made:
        raise SurgeryError(
            problem or "has no units that could change places", path=None if problem else "(root)"
        )
    order = {path: place for place, (path, _) in enumerate(patient.walk())}
    return _told_apart(sorted(made, key=lambda group: order[group.path]))


def _followed(patient: Patient, found: tuple[Group, ...]) -> Iterator[Units]:
    tied = [*patient.sites().values(), *patient.buffer_sites().values()]
    sites = {path: paths for paths in tied for path in paths}
    group_at = {
        (key_of(patient, place.path), place.dim): number
        for number, group in enumerate(found)
        for place in group.places
    }
    for group in found:
        if group.count < 2:
            continue
        places = [Place(path, item.dim, item.sections) for item in group.places for path in sites[item.path]]
        if any(_unkept(patient, place) for place in places):
            continue
        writers = [place for place in places if written_at(patient, place)]
        first = (writers or places)[0].path.rpartition(".")[0]
        members = dict.fromkeys(place.path.rpartition(".")[0] for place in writers)
        yield Units(
            name=first,
            path=first,
            kind=_kind(patient, writers, group_at),
            count=group.count,
            members=tuple(members) or (first,),
            cuts=tuple(Cut(place.path, place.dim, place.sections) for place in places),
        )


def _unkept(patient: Patient, place: Place) -> bool:
    """Whether no checkpoint stores the tensor: a load would find it in the old order."""
    where, _, name = place.path.rpartition(".")
    return name in patient.module(where)._non_persistent_buffers_set


def _kind(patient: Patient, writers: list[Place], group_at: dict[tuple[int, int], int]) -> Kind:
    if is_stream(patient, writers, group_at):
        return "width"
    convolved = any(isinstance(patient.module(place.path.rpartition(".")[0]), _ConvNd) for place in writers)
    return "channels" if convolved else "neurons"


def _told_apart(found: list[Units]) -> list[Units]:
    """Each with a name of its own."""
    seen: dict[str, int] = {}
    made = []
    for group in found:
        seen[group.path] = number = seen.get(group.path, 0) + 1
        made.append(group if number == 1 else replace(group, name=f"{group.path}#{number}"))
    return made
