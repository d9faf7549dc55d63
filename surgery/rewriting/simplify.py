"""Making a model smaller without changing what it computes: every exact rewrite that takes something away."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from torch import nn

from graph.costs import Costs, costs
from surgery.errors import SurgeryError
from surgery.model import Patient
from surgery.operation import Operation
from surgery.registry import operation_named
from surgery.rewriting.absorbing import readers_of
from surgery.rewriting.branches import sums
from surgery.rewriting.folding import fold_at, is_batch_norm
from surgery.rewriting.norms import is_norm
from surgery.rewriting.proof import NotExact
from surgery.script import python_of

if TYPE_CHECKING:
    from surgery.history import State
    from surgery.session import Session

_ORDER = ("reparameterize", "fold_norm", "absorb_norm")
"""Branches first: they fold norms that would else be folded one by one, into convolutions that stay."""

_STAYS = "the weights of its norms, which the model's class makes; `absorb_norm` leaves ones in them"


@dataclass(frozen=True)
class Left:
    """What stays as it is at `path`, though `operation` is there for it, and why."""

    operation: str
    path: str
    reason: str

    def __str__(self) -> str:
        return f"left: {self.path}: {self.reason}" if self.path else f"left: {self.reason}"


@dataclass(frozen=True)
class Simplified:
    """What was done, a state each with its proof, and what was left."""

    done: tuple[State, ...]
    left: tuple[Left, ...]
    before: Costs
    after: Costs

    def __str__(self) -> str:
        lines = [f"{python_of(state.step)}: {state.proof}" for state in self.done if state.step is not None]
        if not lines:
            lines = ["Nothing can be simplified exactly."]
        else:
            was, now = self.before.parameters, self.after.parameters
            lines.append(f"{was:,} → {now:,} parameters ({now - was:+,})")
        return "\n".join([*lines, *map(str, self.left)])


def simplify(session: Session) -> Simplified:
    """Applies each exact rewrite that leaves fewer parameters, and says what is left and why.

    Each is an ordinary step, proved before it is kept. SurgeryError for a model without example inputs.
    """
    if session.tracing.inputs is None:
        raise SurgeryError(
            "what is exact shows only when the model runs, and there are no example inputs",
            hint="`surgery.open(model, inputs)`",
        )
    before = costs(session.graph)
    done: list[State] = []
    left: list[Left] = []
    for name in _ORDER:
        step = _step(name, session.patient)
        try:
            preview = session.preview(step) if step is not None else None
            if (
                step is not None
                and preview is not None
                and preview.after.parameters < preview.before.parameters
            ):
                done.append(session.apply(step))
            elif preview is not None:
                left.append(Left(name, "", f"{name} would leave as many parameters, or more"))
                continue
        except NotExact as error:
            left.append(Left(name, "", _why(error)))
            continue
        except SurgeryError:  # it finds nothing that it could do; why is said below
            pass
        left += _left(name, session.patient)
    return Simplified(tuple(done), tuple(left), before, costs(session.graph))


def _step(name: str, patient: Patient) -> Operation | None:
    """The step over the whole model; None where it could take nothing away."""
    if name != "absorb_norm":
        return operation_named(name).of()
    return None if patient.model_type else operation_named(name).of(affine="none")


def _left(name: str, patient: Patient) -> Iterator[Left]:
    """What there still is for a rewrite to do, and why it does not."""
    if name == "reparameterize":
        refused = [item for item in sums(patient, name) if isinstance(item, SurgeryError)]
        yield from (Left(name, error.path or "", _why(error, error.path)) for error in refused)
        return
    if name == "absorb_norm" and patient.model_type:
        if any(is_norm(module) for _, module in patient.walk()):
            yield Left(name, "", _STAYS)
        return
    seen: set[nn.Module] = set()
    for path, module in patient.walk():
        if module in seen or not (is_batch_norm if name == "fold_norm" else is_norm)(module):
            continue
        seen.add(module)
        try:
            fold_at(patient, path, name) if name == "fold_norm" else readers_of(patient, path, name)
        except SurgeryError as error:
            yield Left(name, path, _why(error, path))


def _why(error: SurgeryError, path: str | None = None) -> str:
    """The reason without the way out; the path where it is another than that of what stays."""
    found = f"; {error.got}" if error.got is not None else ""
    return (
        f"{error.path}: {error.problem}{found}" if error.path not in (None, path) else error.problem + found
    )
