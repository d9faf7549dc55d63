"""Evaluations and sweeps of a session whose weights stay in their checkpoint, and pass by meanwhile."""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from graph.units import short
from surgery.errors import SurgeryError
from surgery.evaluate.bench import Asked, Bench
from surgery.evaluate.data.examples import Examples
from surgery.evaluate.evaluator import Evaluator, Progress
from surgery.evaluate.report import Report
from surgery.evaluate.streamed import (
    Edited,
    Pass,
    StreamedSweep,
    Weights,
    refuse_unstreamed,
)
from surgery.evaluate.sweep import SweepReport, candidates
from surgery.evaluate.tasks.register import tasks_of
from surgery.model import Patient
from surgery.operation import Operation
from surgery.stream.drawn import Drawn, drawn
from surgery.stream.lineage import checkpoint_of, stored_weights

if TYPE_CHECKING:
    from surgery.history import State
    from surgery.session import Session
    from surgery.sources import Opened


def evaluated(
    session: Session,
    examples: Examples,
    device: str,
    budget_s: float,
    tasks: Asked,
    progress: Progress | None,
    stop: threading.Event | None,
) -> tuple[State, Report]:
    """What `session.evaluate` gives of a skeleton whose checkpoint is at hand, and of which state."""
    began = time.perf_counter()
    with session.lock:
        state, opened, steps = session.history.current, session.opened, session.steps
        graph, before = session.graph, session.history.base.graph
    evaluator = Evaluator(opened.model, examples=examples, device=device)
    weights = _weights(opened, evaluator)
    edited = Edited(drawn(opened.model, steps, opened.inputs, opened.tokenizer, graph))
    original = drawn(opened.model, graph=before if steps else graph)
    asked = None if tasks is None else tasks_of(tasks)
    refuse_unstreamed(asked or ())

    def told(share: float) -> None:
        if progress is not None:
            progress(share, f"{short(weights.read_bytes, 'B')} read")

    with evaluator.at_work(stop) as check:
        passed = Pass(evaluator, weights, original, [edited], asked, check, told)
        passed.run(budget_s, None)
    if edited.refused is not None:
        raise SurgeryError(edited.refused)
    assert passed.meter is not None
    batches = [edited.batches[place] for place in passed.places]
    notes = [*examples.notes, *passed.notes, weights.said]
    return state, evaluator.report(passed.meter, batches, time.perf_counter() - began, notes)


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
    progress: Progress | None,
    stop: threading.Event | None,
    fields: dict[str, Any],
) -> tuple[State, SweepReport]:
    """What `session.sweep` gives of a skeleton whose checkpoint is at hand, and of which state."""
    with session.lock:
        state, opened, steps = session.history.current, session.opened, session.steps
    base = drawn(opened.model, steps, opened.inputs, opened.tokenizer)
    bench = Bench(base.model, examples=examples, device=device)
    weights = _weights(opened, bench)
    weights.add(base.tensors)
    trial = type(session)(replace(opened, model=base.model))
    base = replace(base, graph=trial.graph)
    patient = Patient(base.model, opened.inputs, opened.tokenizer)

    def make(step: Operation) -> Drawn:
        """The skeleton with the step, once a preview did not refuse it."""
        graph = trial.preview(step).graph
        if step.awaits_measure:
            raise SurgeryError(f"{step.name} measures values, which a model whose weights are streamed lacks")
        return drawn(base.model, (step,), opened.inputs, opened.tokenizer, graph)

    asked = candidates(patient, name, select, of=of, each=each, **fields)
    return state, StreamedSweep(bench, base, weights, asked, make).run(budget_s, tasks, progress, stop)


def _weights(opened: Opened, bench: Bench) -> Weights:
    """The tensors of a skeleton, where they are stored."""
    weights = Weights(bench.device)
    weights.add(stored_weights(opened.model, checkpoint_of(opened)))
    return weights
