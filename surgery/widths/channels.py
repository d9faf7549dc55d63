"""The channels of convolutions: groups that hang together, found by following one forward on fakes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import zip_longest
from typing import Any

from torch import nn
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.modules.conv import _ConvNd, _ConvTransposeNd

from graph.coupling import Coupling, Group, NotCoupled, Place, couple, numbers
from surgery.adapters.adapter import Adapter, root_of
from surgery.adapters.lora import LoraLinear
from surgery.edits import Edit, SetAttribute, Site
from surgery.errors import SurgeryError
from surgery.fields import Found
from surgery.journal import Journal
from surgery.model import Patient
from surgery.tracing import values_unchecked
from surgery.widths.part import Cut, Follow, Part

_MEANT = ("model_dim",)
"""What T5 calls the width by whose root it divides; see `surgery.widths.streams`."""
_COUNTED = {"channels": "number of channels", "width": "width of its stream"}


def channels(patient: Patient) -> list[Part]:
    """The groups of channels that convolutions write, each with all that reads or normalises them.

    A group is at its first convolution; all that write it, through a residual addition say, are members.
    A unit is a channel, or all the channels of a group in a grouped convolution or a GroupNorm. What
    reaches the model's outputs or an operator of which nobody knows what it does is in no group.
    """
    if patient.inputs is None:
        raise SurgeryError(
            "which channels hang together shows only when the model runs, and there are no example inputs",
            hint="`surgery.open(model, inputs)`",
        )
    found = parts_of(patient, _coupling(patient).groups)
    if not found:
        _refuse_adapted(patient)
    return found


def _refuse_adapted(patient: Patient) -> None:
    """SurgeryError where convolutions are under adapters, through which nobody can follow their channels."""
    for path, module in patient.walk():
        if isinstance(module, Adapter) and isinstance(root_of(module), _ConvNd):
            raise SurgeryError(
                "is under an adapter, which has the widths of now",
                path=path,
                hint=f'`fold("{path}")` or `detach("{path}")` first',
            )


def _coupling(patient: Patient) -> Coupling:
    if (known := patient.known.get("coupling")) is not None:
        assert isinstance(known, Coupling)
        return known
    try:
        with values_unchecked():
            found = patient.known["coupling"] = couple(patient.root, patient.inputs)
            return found
    except NotCoupled as error:
        raise SurgeryError(f"which channels hang together cannot be followed: {error}") from None


def refuse_counted(
    patient: Patient, narrow: Callable[[Patient], Iterable[Edit]], units: str = "channels"
) -> None:
    """SurgeryError if the forward computes with the number of units, which `narrow` changes.

    The edits that `narrow` plans are tried on a skeleton, but those of numbers that are meant to be others:
    the ε of norms, a root of the width. One whose forward fails is left to the trace.
    """
    from surgery.preview import sketch  # which knows of operations

    drawn = sketch(patient.root)
    tried = Patient(drawn.model, patient.inputs)
    site = Site(drawn.model, Journal(), drawn.run)
    for edit in list(narrow(tried)):
        if not (isinstance(edit, SetAttribute) and (isinstance(edit.value, float) or edit.name in _MEANT)):
            edit.apply(site)
    before = _coupling(patient).numbers
    try:
        with values_unchecked():
            after = numbers(drawn.model, patient.inputs)
    except NotCoupled:
        return
    for (name, given), (other, others) in zip_longest(before, after, fillvalue=("nothing", ())):
        if (name, given) != (other, others):
            raise SurgeryError(
                f"the forward computes with the {_COUNTED[units]}, and with fewer it computes something else",
                got=f"{other} with {others}",
                expected=f"{name} with {given}",
            )


def parts_of(patient: Patient, groups: tuple[Group, ...]) -> list[Part]:
    """The groups that convolutions write, with the attributes that follow."""
    sites = _paths(patient)
    found = [_part(patient, group, sites) for group in groups if group.count > 1]
    return [part for part in found if part is not None]


def frozen(groups: tuple[Group, ...]) -> Found:
    """Groups as a step keeps them: nothing has to run to do the step again."""
    return Found(
        [
            {
                "count": group.count,
                "places": [
                    [place.path, place.dim, [list(section) for section in place.sections]]
                    for place in group.places
                ],
            }
            for group in groups
        ]
    )


def thawed(patient: Patient, found: Found, verb: str) -> tuple[Group, ...]:
    """The groups that a step keeps; SurgeryError if this model has no such tensors."""
    try:
        groups = tuple(
            Group(
                int(item["count"]),
                tuple(
                    Place(str(path), int(dim), tuple((int(start), int(size)) for start, size in sections))
                    for path, dim, sections in item["places"]
                ),
            )
            for item in found.data
        )
    except (KeyError, TypeError, ValueError):
        raise SurgeryError(f"{verb}.found is not what {verb} writes there") from None
    for group in groups:
        for place in group.places:
            _check(patient, group, place, verb)
    return groups


def _check(patient: Patient, group: Group, place: Place, verb: str) -> None:
    shape = (patient.buffer(place.path) or patient.tensor(place.path)).shape
    inside = 0 <= place.dim < len(shape) and all(
        start >= 0 and size > 0 and start + group.count * size <= shape[place.dim]
        for start, size in place.sections
    )
    if not inside:
        raise SurgeryError(
            f"{verb} was recorded on a tensor of another shape",
            path=place.path,
            got=list(shape),
            hint="the model the script was made on, or making the step anew",
        )


def group_of(part: Part) -> Group:
    """What of a part has to be kept to make it again."""
    return Group(part.count, tuple(Place(cut.path, cut.dim, cut.sections) for cut in part.cuts))


def _paths(patient: Patient) -> dict[str, list[str]]:
    """By path all the paths of the same tensor."""
    tied = [*patient.sites().values(), *patient.buffer_sites().values()]
    return {path: paths for paths in tied for path in paths}


def _part(patient: Patient, group: Group, sites: dict[str, list[str]]) -> Part | None:
    """The part, at every path of a tied tensor; None if no convolution writes these channels."""
    members: list[str] = []
    follows: list[Follow] = []
    cuts: list[Cut] = []
    led = False
    for place in group.places:
        size = sum(size for _, size in place.sections)
        for path in sites[place.path]:
            where, _, name = path.rpartition(".")
            module = patient.module(where)
            if _refused(module, name) or _under_another_adapter(patient, where):
                return None
            is_buffer = name in module._buffers
            cuts.append(Cut(path, place.dim, place.sections, scored=not is_buffer))
            if name == "weight":
                follows += [Follow(where, *entry) for entry in attributes(module, place.dim, size)]
                around = where.rpartition(".")[0]
                if isinstance(patient.module(around), LoraLinear):  # it says how wide its base is
                    follows += [Follow(around, *entry) for entry in attributes(module, place.dim, size)]
                if writes(module, place.dim):
                    members.append(where)
                    led = led or isinstance(module, _ConvNd)
    if not led:
        return None
    first = next(path for path in members if isinstance(patient.module(path), _ConvNd))
    return Part(
        path=first,
        count=group.count,
        cuts=tuple(dict.fromkeys(cuts)),
        members=tuple(dict.fromkeys(members)),
        follows=tuple(dict.fromkeys(follows)),
    )


def _under_another_adapter(patient: Patient, path: str) -> bool:
    """Whether a module is an adapter, or carries one, that does not say how wide its base is."""
    around = path.rpartition(".")[0]
    found = patient.module(path), patient.module(around)
    return any(isinstance(item, Adapter) and type(item) is not LoraLinear for item in found)


def _refused(module: nn.Module, name: str) -> bool:
    """Whether a tensor can't be cut: no checkpoint stores it, so a load would not find it cut."""
    return name in module._non_persistent_buffers_set


def writes(module: nn.Module, dim: int) -> bool:
    """Whether a weight's dimension `dim` holds what its module puts out."""
    if isinstance(module, _ConvTransposeNd):
        return dim == 1 or (module.groups > 1 and dim == 0)
    return isinstance(module, _ConvNd | nn.Linear) and dim == 0


def attributes(module: Any, dim: int, size: int) -> Iterator[tuple[str, int]]:
    """(name, how much it falls with a unit) when a unit has `size` entries along `dim` of the weight."""
    if isinstance(module, _ConvNd) and module.groups > 1:
        weight = module.weight.shape[0]
        gone = size * module.groups // weight  # whole groups
        yield "groups", gone
        yield "in_channels", gone * (module.in_channels // module.groups)
        yield "out_channels", gone * (module.out_channels // module.groups)
    elif isinstance(module, _ConvNd):
        yield ("out_channels" if writes(module, dim) else "in_channels"), size
    elif isinstance(module, nn.Linear):
        yield ("out_features" if dim == 0 else "in_features"), size
    elif isinstance(module, _NormBase):
        yield "num_features", size
    elif isinstance(module, nn.GroupNorm):
        yield "num_channels", size
        yield "num_groups", size * module.num_groups // module.num_channels
    elif isinstance(module, nn.PReLU):
        yield "num_parameters", size
