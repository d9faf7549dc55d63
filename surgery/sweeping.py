"""A sweep over a session: candidates are made of the state it is in, which stays as it is."""

from __future__ import annotations

import hashlib
import threading
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import nn

from surgery import streaming
from surgery.copies import settled
from surgery.errors import SurgeryError
from surgery.evaluate.bench import Asked, Bench
from surgery.evaluate.blocks import list_paths
from surgery.evaluate.data.examples import Examples
from surgery.evaluate.evaluator import Progress
from surgery.evaluate.sweep import Sweep, SweepReport, candidates, paths_of
from surgery.fingerprint import tensor_digest
from surgery.journal import Journal
from surgery.model import Patient, private_shell
from surgery.operation import Operation
from surgery.runs import Live, carry_out

if TYPE_CHECKING:
    from surgery.session import Session


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
    resume: Path | None,
    progress: Progress | None,
    stop: threading.Event | None,
    fields: dict[str, Any],
) -> SweepReport:
    """What `session.sweep` gives; see there."""
    if session.is_skeleton:
        if resume is not None:
            raise SurgeryError(
                "a sweep over streamed weights is one pass, which cannot be gone on with", got=str(resume)
            )
        return streaming.swept(
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
        base, opened, data = private_shell(session.model), session.opened, session.data
    trial = type(session)(replace(opened, model=base))
    steps = candidates(
        Patient(base, opened.inputs, opened.tokenizer), name, select, of=of, each=each, **fields
    )

    def make(step: Operation) -> tuple[Operation, nn.Module]:
        """The step resolved, and the model it makes, once a preview did not refuse it."""
        trial.preview(step)
        model = private_shell(base)
        patient = Patient(model, opened.inputs, opened.tokenizer)
        step = step.with_measure(patient, data)
        resolved = carry_out(step, model, Journal(), Live(), opened.inputs, opened.tokenizer)
        settled()
        return resolved, model

    bench = Bench(base, examples=examples, device=device)
    identity = (
        "" if resume is None else f"{_identity(trial, bench, tasks)} {'alone' if exact else 'together'}"
    )
    blocks = None if exact else _shared_list(base, steps)
    sweep = Sweep(bench, steps, make, blocks=blocks, resume=resume, identity=identity)
    return sweep.run(budget_s, tasks, progress, stop)


def _shared_list(model: nn.Module, steps: list[Operation]) -> str | None:
    """The list of blocks in which most of the edits are made; None where that is none."""
    patient = Patient(model)
    places = [path for step in steps for path in paths_of(step.resolved(patient))[:1]]
    within = {path: sum(place.startswith(f"{path}.") for place in places) for path in list_paths(model)}
    best = max(within, key=lambda path: within[path], default=None)
    return best if best is not None and within[best] else None


def _identity(session: Session, bench: Bench, tasks: Asked) -> str:
    """What a sweep must share with another to go on from it."""
    if tasks is not None and any(callable(task) and not hasattr(task, "specs") for task in tasks):
        raise SurgeryError("a sweep by a function cannot be gone on with: nothing says that it is the same")
    shown = bench.examples
    held = {**shown.inputs, "labels": shown.labels, "counted": shown.counted, "documents": shown.documents}
    examples = [f"{name} {tensor_digest(value)}" for name, value in held.items() if value is not None]
    said = [session.fingerprint(), *examples, f"seed {shown.seed}", repr(tasks), str(bench.device)]
    return hashlib.sha256("\n".join(said).encode()).hexdigest()
