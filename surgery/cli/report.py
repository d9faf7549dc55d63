"""`surgery report`: what a script did and what it cost, as one HTML file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def report(
    script: Annotated[Path, typer.Argument(help="an edit script, *.surgery.json, or a mergekit file, *.yml")],
    model: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FOLDER | NAME=FOLDER",
            help="the base, or one of the further models by its name in the script; by default where it says",
        ),
    ] = None,
    out: Annotated[Path, typer.Option(help="the file to write")] = Path("report.html"),
    evaluate: Annotated[
        bool, typer.Option("--evaluate", help="measure the result beside the base for it")
    ] = False,
    task: Annotated[list[str] | None, typer.Option(help="with --evaluate: what to measure")] = None,
    data: Annotated[Path | None, typer.Option(help="with --evaluate: what to measure on")] = None,
    budget: Annotated[float, typer.Option(help="with --evaluate: seconds to spend", min=0.1)] = 2.0,
    device: Annotated[str, typer.Option(help="with --evaluate: auto, cpu, cuda, cuda:1, mps")] = "auto",
    allow_factory: Annotated[
        str | None, typer.Option(metavar="NAME", help="run this factory if the script names it as its base")
    ] = None,
) -> None:
    """Apply a script's steps to its model and write a report: pictures, edits, figures and fingerprints."""
    import surgery
    from surgery.cli.arguments import base_and_others
    from surgery.evaluate import examples_at
    from surgery.evaluate.tasks import tasks_of

    after = {"--task": task, "--data": data, "--device": device != "auto"}
    if not evaluate and (lone := next((name for name, given in after.items() if given), None)):
        raise surgery.SurgeryError(f"{lone} says how the result is measured, and --evaluate is not given")
    if not out.expanduser().parent.is_dir():  # said before the work
        raise surgery.SurgeryError("there is no such folder", path=str(out.parent))
    place, others = base_and_others(model or [])
    session = surgery.replay(script, place, allow_factory=allow_factory, models=others)
    if evaluate:
        examples = examples_at(data, session.opened) if data else None
        session.evaluate(budget, examples, device, tasks_of(task) if task else None)
    print(session.write_report(out))
