"""A sweep over a session whose weights stay in their checkpoint, and pass by while it is measured."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from surgery.checkpoint.tensors import Checkpoint
from surgery.errors import SurgeryError
from surgery.evaluate.bench import Asked, Bench
from surgery.evaluate.data.examples import Examples
from surgery.evaluate.evaluator import Progress
from surgery.evaluate.streamed import Drawn, StreamedSweep, Weights, drawn, stored_weights
from surgery.evaluate.sweep import SweepReport, candidates
from surgery.model import Patient
from surgery.operation import Operation

if TYPE_CHECKING:
    from surgery.session import Session
    from surgery.sources import Opened


def streamed(
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
) -> SweepReport:
    """What `session.sweep` gives of a skeleton whose checkpoint is at hand."""
    with session.lock:
        opened, steps = session.opened, session.steps
    checkpoint = checkpoint_of(opened)
    base = drawn(opened.model, steps, opened.inputs, opened.tokenizer)
    bench = Bench(base.model, examples=examples, device=device)
    weights = Weights(bench.device)
    weights.add(stored_weights(opened.model, checkpoint))
    weights.add(base.tensors)
    trial = type(session)(replace(opened, model=base.model))
    patient = Patient(base.model, opened.inputs, opened.tokenizer)

    def make(step: Operation) -> Drawn:
        """The skeleton with the step, once a preview did not refuse it."""
        trial.preview(step)
        if step.awaits_measure:
            raise SurgeryError(f"{step.name} measures values, which a model whose weights are streamed lacks")
        return drawn(base.model, (step,), opened.inputs, opened.tokenizer)

    asked = candidates(patient, name, select, of=of, each=each, **fields)
    return StreamedSweep(bench, base.model, weights, asked, make).run(budget_s, tasks, progress, stop)


def checkpoint_of(opened: Opened) -> Checkpoint:
    """Where the weights of a skeleton lie. SurgeryError where they lie nowhere that can be read."""
    source = opened.folder or (Path(opened.source) if opened.source else None)
    if source is None or not (source.is_dir() or source.suffix == ".safetensors"):
        raise SurgeryError(
            "a model opened without weights cannot be evaluated",
            path=opened.name,
            hint="opening the folder that its weights lie in",
        )
    return Checkpoint.at(source)
