"""What `suggest` and `plan` begin with: a session, its blocks swept by each of some operations."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from surgery.evaluate import Examples
    from surgery.evaluate.evaluator import Progress
    from surgery.session import Session

OPERATIONS = ("remove", "tie")

Operations = Annotated[
    list[str] | None,
    typer.Option("--operation", help="what to try; by default remove and tie; may be repeated"),
]
Select = Annotated[
    str | None, typer.Option(help="where to try it, such as 'model.layers[*]'; by default all blocks")
]
Of = Annotated[str, typer.Option(help="what is to be saved: parameters, bytes or macs")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, mps")]
SweepTasks = Annotated[list[str] | None, typer.Option(help="what to measure, as in `evaluate`")]
SweepData = Annotated[Path | None, typer.Option(help="what to measure on, as in `evaluate`")]
Seconds = Annotated[float, typer.Option(help="seconds to spend on the sweeps in all", min=0)]


def sweep_all(
    session: Session,
    operations: Sequence[str],
    select: str | None,
    examples: Examples | None,
    *,
    budget_s: float,
    device: str,
    tasks: Sequence[str] | None,
    progress: Progress,
    stop: Event,
) -> None:
    """Sweeps each of the operations; SurgeryError where none of them can be, and Stopped.

    Without `select` the blocks that repeat. What one of several operations cannot be tried on is said.
    """
    from graph.flow import blocks
    from graph.naming import selector_of
    from surgery.errors import SurgeryError

    found = blocks(session.graph)
    if select is None and not found:
        raise SurgeryError("the model has no blocks that repeat", hint="`--select` with the modules to try")
    place = selector_of(found, session.graph) if select is None else select
    refused: list[SurgeryError] = []
    for name in operations:
        try:
            session.sweep(
                name,
                place,
                budget_s=budget_s / len(operations),
                examples=examples,
                device=device,
                tasks=tasks,
                progress=lambda part, label, name=name: progress(part, f"{name}: {label}"),  # type: ignore[misc]
                stop=stop,
            )
        except SurgeryError as error:
            refused.append(error)
    if len(refused) == len(operations):
        raise refused[0]
    for problem in refused:
        print(f"surgery: {problem}", file=sys.stderr)


def refuse_without_folder(*paths: Path | None) -> None:
    """SurgeryError for a file in no folder: measuring is long, and what stands in its way is said before."""
    from surgery.errors import SurgeryError

    for path in paths:
        if path is not None and not path.parent.is_dir():
            raise SurgeryError("there is no such folder", path=str(path.parent))
