"""An ordinary transformers model made out of one that needs `surgery.load`, by steps like any others.

Each rule knows one thing that a config cannot say, and the operation that takes it away. Whether nothing is
left that a config cannot say is proved afterwards: see `proof.why_not_plain`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from torch import nn

from graph.paths import is_below
from surgery.adapters.adapter import Adapter
from surgery.checkpoint.agreement import difference_on, tolerance_of
from surgery.checkpoint.proof import from_own_config, why_not_plain
from surgery.checkpoint.structure import rebuilt
from surgery.edits import Run
from surgery.errors import SurgeryError
from surgery.families import model_type
from surgery.journal import Journal
from surgery.model import Patient, private_shell
from surgery.modules.made import MadeLinear
from surgery.operation import Operation
from surgery.operations.detach import Detach
from surgery.operations.fold import Fold
from surgery.operations.multiply_out import MultiplyOut
from surgery.operations.pad import Pad
from surgery.operations.untie import Untie
from surgery.runs import Live, Skeleton, carry_out
from surgery.script import python_of, step_data, step_from
from surgery.widths.padding import too_narrow

if TYPE_CHECKING:
    from surgery.session import Session


@dataclass(frozen=True)
class Plain:
    """An ordinary model: the further `steps` that made it, and how far its outputs are from the edited one's.

    `difference` is the largest of any output on the example inputs, over the largest output; None if there
    were no example inputs. `tolerance` is what is allowed.
    """

    model: nn.Module
    steps: tuple[Operation, ...]
    difference: float | None
    tolerance: float


def made_plain(session: Session) -> Plain:
    """The session's model as transformers can load it; the session keeps its own.

    Weights made of shared parameters are multiplied out, ties that are not the class's own copied out,
    adapters folded in, and uneven widths padded with zeros, in shells. Raises SurgeryError, with the nearest
    plan that can be made plain, if more than that is in the way, or if the outputs on the example inputs do
    not agree: half of the digits of the dtype are asked for.
    """
    model = private_shell(session.model)
    try:
        steps = tuple(_smoothed(model, Live()))
        reason = why_not_plain(model)
    except SurgeryError as error:
        reason = error.sentence(with_hint=False).removesuffix(".")
    if reason is not None:
        raise SurgeryError(
            f"cannot be made an ordinary transformers model: {reason}",
            path=session.opened.name,
            hint=_nearest(session),
        )
    tolerance = tolerance_of(model)
    difference = difference_on(session.opened.inputs, session.model, model)
    if difference is not None and not difference <= tolerance:
        raise SurgeryError(
            "as an ordinary model it would give other outputs on the example inputs",
            path=session.opened.name,
            got=f"a difference of {difference:.1e} of the largest",
            expected=f"at most {tolerance:.1e}",
            hint="saving without plain, or opening the model in float32",
        )
    return Plain(model, steps, difference, tolerance)


# The rules ------------------------------------------------------------------------------------


def _weights_multiplied_out(patient: Patient) -> Operation | None:
    """Every weight that is made of shared parameters is a plain one."""
    return (
        MultiplyOut.of() if any(isinstance(module, MadeLinear) for module in patient.root.modules()) else None
    )


def _ties_copied_out(patient: Patient) -> Operation | None:
    """Every tie that the class does not make by itself is undone: each site has its own tensor."""
    by_class = {
        path: set(paths)
        for paths in Patient(from_own_config(patient.root)).sites().values()
        for path in paths
    }
    sites = patient.sites().values()
    freed: set[str] = set()
    for places in sites:
        together = [by_class.get(place, {place}) & set(places) for place in places]
        freed.update(set(places) - max(together, key=len))
    shared = [place for places in sites if len(places) > 1 for place in places]
    owners = [_outermost(place, freed, shared) for place in shared if place in freed]
    return Untie.of(list(dict.fromkeys(owners))) if owners else None


def _outermost(place: str, freed: set[str], shared: list[str]) -> str:
    """The outermost module around a freed site that shares nothing but what is freed."""
    parts = place.split(".")[:-1]
    for depth in range(1, len(parts)):
        outer = ".".join(parts[:depth])
        if all(other in freed for other in shared if is_below(other, outer)):
            return outer
    return ".".join(parts)


def _adapters_off_gone(patient: Patient) -> Operation | None:
    """Every adapter that is switched off is gone."""
    found = [(path, item) for path, item in patient.walk() if isinstance(item, Adapter)]
    on = [(path, item.name) for path, item in found if item.active]
    for path, item in found:
        if not item.active and not any(is_below(other, path) for other, name in on if name == item.name):
            same = [other for other, one in found if one.name == item.name and not one.active]
            clear = [place for place in same if not any(is_below(o, place) for o, n in on if n == item.name)]
            return Detach.of(clear, called=item.name)
    return None


def _adapters_folded_in(patient: Patient) -> Operation | None:
    """Every adapter is part of the weight it adapts."""
    return Fold.of() if any(isinstance(module, Adapter) for module in patient.root.modules()) else None


def _widths_padded(patient: Patient) -> Operation | None:
    """Every part is as wide as the config says, of neurons first: see `too_narrow`."""
    found = next(too_narrow(patient, Patient(from_own_config(patient.root))), None)
    return None if found is None else Pad.of(found[1], found[0], count=found[2])


RULES: tuple[Callable[[Patient], Operation | None], ...] = (
    _weights_multiplied_out,
    _ties_copied_out,
    _adapters_off_gone,
    _adapters_folded_in,
    _widths_padded,
)
"""In this order: what weights are made of need not be copied for each of them, a weight that is tied cannot
be folded into, and one under an adapter not padded."""


def _smoothed(model: nn.Module, run: Run) -> Iterator[Operation]:
    """Carries out what the rules ask for, each until it asks no more; yields the steps, resolved."""
    if model_type(model) is None:
        raise SurgeryError(f"{type(model).__name__} is no transformers model")
    for rule in RULES:
        while (step := rule(Patient(model))) is not None:
            yield carry_out(step, model, Journal(), run)


# The way out ------------------------------------------------------------------------------------


def _nearest(session: Session) -> str:
    """The plan that can be made plain and leaves out the fewest steps, as a hint.

    The steps are tried one after another on a skeleton; one that leads to what cannot be made plain is left
    out, and so is one that then does not fit any more.
    """
    structure = session.opened.rebuild
    if structure is None or structure["config"] is None:
        return "saving without plain"
    model = rebuilt(structure, session.opened.name)
    if not _can_be_plain(model):
        return "saving without plain"
    left_out: list[Operation] = []
    for step in session.steps:
        journal = Journal()
        try:
            # Each in a run of its own, since what a run made for a step that is taken back stays in it.
            carry_out(step_from(step_data(step), step.name), model, journal, Skeleton())
            fits = _can_be_plain(model)
        except SurgeryError:
            fits = False
        if not fits:
            journal.undo()
            left_out.append(step)
    named = " and ".join(f"`{python_of(step)}`" for step in left_out)
    return f"saving without plain, or leaving out {named}" if named else "saving without plain"


def _can_be_plain(model: nn.Module) -> bool:
    trial = private_shell(model, parameter=lambda shared: shared)
    try:
        list(_smoothed(trial, Skeleton()))
        return why_not_plain(trial) is None
    except SurgeryError:
        return False
