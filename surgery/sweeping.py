"""A sweep over a session: candidates are made of the state it is in, which stays as it is."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import nn

from surgery import measuring_streamed
from surgery.calibration.kept import Kept
from surgery.calibration.telling import listening
from surgery.cluster import connected
from surgery.copies import settled
from surgery.errors import SurgeryError
from surgery.evaluate.bench import Asked, Bench
from surgery.evaluate.blocks import list_paths
from surgery.evaluate.data.examples import Examples
from surgery.evaluate.evaluator import Progress
from surgery.evaluate.sweep import Sweep, SweepReport, candidates, paths_of
from surgery.evaluate.sweep.spread import Spread
from surgery.fingerprint import tensor_digest
from surgery.journal import Journal
from surgery.model import Patient, private_shell
from surgery.operation import Operation
from surgery.runs import Live, carry_out

if TYPE_CHECKING:
    from surgery.history import State
    from surgery.session import Session
    from surgery.sources.opened import Opened


@dataclass
class Making:
    """Makes the edited model of a step from `base`, which stays as it is; goes to other processes too."""

    base: nn.Module
    session: type[Session]
    opened: Opened
    data: Sequence[Any]

    def __call__(self, step: Operation) -> tuple[Operation, nn.Module]:
        """The step resolved, and the model it makes, once a preview did not refuse it."""
        opened = self.opened
        self._trial.preview(step)
        model = private_shell(self.base)
        patient = Patient(model, opened.inputs, opened.tokenizer)
        with listening(kept=self._kept):  # candidates of one state share what is collected of it
            step = step.with_measure(patient, self.data)
        resolved = carry_out(step, model, Journal(), Live(), opened.inputs, opened.tokenizer)
        settled()
        return resolved, model

    def fingerprint(self) -> str:
        """That of the base."""
        return self._trial.fingerprint()

    @cached_property
    def _kept(self) -> Kept:
        return Kept()

    @cached_property
    def _trial(self) -> Session:
        return self.session(self.opened)

    def __getstate__(self) -> dict[str, Any]:
        opened = replace(self.opened, data=None, held_out=None)
        return {"base": self.base, "session": self.session, "opened": opened, "data": self.data}


def swept(
    session: Session,
    name: str,
    select: str,
    *,
    of: int,
    each: bool,
    examples: Examples,
    device: str,
    budget_s: float,
    tasks: Asked,
    exact: bool,
    ray: bool | str,
    resume: Path | None,
    progress: Progress | None,
    stop: threading.Event | None,
    fields: dict[str, Any],
) -> tuple[State, SweepReport]:
    """What `session.sweep` gives, see there, and of which state."""
    if session.is_skeleton:
        if resume is not None:
            raise SurgeryError(
                "a sweep over streamed weights is one pass, which cannot be gone on with", got=str(resume)
            )
        if ray:
            raise SurgeryError("a sweep over streamed weights is one pass, in this process", got=f"ray={ray}")
        return measuring_streamed.swept(
            session,
            name,
            select,
            of=of,
            each=each,
            examples=examples,
            device=device,
            budget_s=budget_s,
            tasks=tasks,
            progress=progress,
            stop=stop,
            fields=fields,
        )
    with session.lock:
        state, base = session.history.current, private_shell(session.model)
    opened, data = session.opened, session.data
    make = Making(base, type(session), replace(opened, model=base), data)
    patient = Patient(base, opened.inputs, opened.tokenizer)
    steps = candidates(patient, name, select, of=of, each=each, **fields)
    bench = Bench(base, examples=examples, device=device)
    alone = exact or bool(ray)
    identity = "" if resume is None else f"{_identity(make, bench, tasks)} {'alone' if alone else 'together'}"
    blocks = None if alone else _shared_list(patient, steps)
    with connected(ray) if ray else nullcontext() as cluster:
        spread = Spread(cluster, bench, make) if ray else None
        sweep = Sweep(bench, steps, make, blocks=blocks, spread=spread, resume=resume, identity=identity)
        return state, sweep.run(budget_s, tasks, progress, stop)


def _shared_list(patient: Patient, steps: list[Operation]) -> str | None:
    """The list of blocks in which most of the edits are made; None where that is none."""
    places = [path for step in steps for path in paths_of(step.resolved(patient))[:1]]
    within = {
        path: sum(place.startswith(f"{path}.") for place in places) for path in list_paths(patient.root)
    }
    best = max(within, key=lambda path: within[path], default=None)
    return best if best is not None and within[best] else None


def _identity(make: Making, bench: Bench, tasks: Asked) -> str:
    """What a sweep must share with another to go on from it."""
    if tasks is not None and any(callable(task) and not hasattr(task, "specs") for task in tasks):
        raise SurgeryError("a sweep by a function cannot be gone on with: nothing says that it is the same")
    shown = bench.examples
    held = {**shown.inputs, "labels": shown.labels, "counted": shown.counted, "documents": shown.documents}
    examples = [f"{name} {tensor_digest(value)}" for name, value in held.items() if value is not None]
    said = [make.fingerprint(), *examples, f"seed {shown.seed}", repr(tasks), str(bench.device)]
    return hashlib.sha256("\n".join(said).encode()).hexdigest()
