"""`surgery report`: what a script did and what it cost, as one HTML file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from surgery.cli.arguments import Data, Factory, Models, Script, Tasks, base_and_others, refuse_unevaluated


def report(
    script: Script,
    model: Models = None,
    out: Annotated[Path, typer.Option(help="the file to write")] = Path("report.html"),
    evaluate: Annotated[
        bool, typer.Option("--evaluate", help="measure the result beside the base for it")
    ] = False,
    task: Tasks = None,
    data: Data = None,
    budget: Annotated[float, typer.Option(help="with --evaluate: seconds to spend", min=0.1)] = 2.0,
    device: Annotated[str, typer.Option(help="with --evaluate: auto, cpu, cuda, cuda:1, mps")] = "auto",
    allow_factory: Factory = None,
) -> None:
    """Apply a script's steps to its model and write a report: pictures, edits, figures and fingerprints."""
    import surgery
    from surgery.evaluate import examples_at
    from surgery.evaluate.tasks import tasks_of

    refuse_unevaluated(evaluate, task=task, data=data, device=device != "auto")
    if not out.expanduser().parent.is_dir():  # said before the work
        raise surgery.SurgeryError("there is no such folder", path=str(out.parent))
    place, others = base_and_others(model or [])
    session = surgery.replay(script, place, allow_factory=allow_factory, models=others)
    if evaluate:
        examples = examples_at(data, session.opened) if data else None
        session.evaluate(budget, examples, device, tasks_of(task) if task else None)
    print(session.write_report(out))
