"""`surgery plan`: the edits that bring a model to a size, and what they are likely to cost together."""

from __future__ import annotations

import sys
from json import dumps
from pathlib import Path
from typing import Annotated

import typer

from surgery.cli.arguments import Model
from surgery.cli.swept import (
    OPERATIONS,
    Device,
    Of,
    Operations,
    Seconds,
    Select,
    SweepData,
    SweepTasks,
    refuse_without_folder,
    sweep_all,
)


def plan(
    model: Model,
    to: Annotated[str, typer.Option(help="how small: -20%, -0.3M, 1.2M, or of bytes 4MB")],
    operation: Operations = None,
    select: Select = None,
    of: Of = "parameters",
    task: SweepTasks = None,
    data: SweepData = None,
    budget: Seconds = 30.0,
    calibrate: Annotated[
        float, typer.Option(help="seconds to measure plans of several edits, for a band that holds", min=0)
    ] = 30.0,
    measure: Annotated[bool, typer.Option("--measure", help="measure the plan as well")] = False,
    device: Device = "auto",
    json: Annotated[Path | None, typer.Option(help="write the plan to this file")] = None,
    script: Annotated[Path | None, typer.Option(help="write its steps to this script")] = None,
) -> None:
    """Choose the cheapest edits that bring a model to a size, and say what they cost, with a band."""
    import surgery
    from surgery.evaluate import Stopped, examples_at
    from surgery.show.progress import interruptible

    refuse_without_folder(json, script)
    session = surgery.open(model)
    examples = examples_at(data, session.opened) if data else None
    try:
        with interruptible() as (progress, stop):
            sweep_all(
                session,
                operation or OPERATIONS,
                select,
                examples,
                budget_s=budget,
                device=device,
                tasks=task,
                progress=progress,
                stop=stop,
            )
            found = session.budget(of, examples=examples, device=device, tasks=task)
            found.to(to)  # what cannot be reached is said before plans are measured
            if calibrate:
                found.calibrate(calibrate, progress=progress, stop=stop)
            chosen = found.to(to)
            outcome = chosen.measure(stop=stop) if measure else None
    except Stopped:
        print("surgery: stopped before the plan was there", file=sys.stderr)
        raise typer.Exit(130) from None
    typer.echo(str(chosen))
    if outcome is not None and len(chosen.steps) < 2:
        typer.echo(str(outcome))
    typer.echo(f"({found.data})")
    if json:
        json.write_text(dumps(chosen.to_dict(), indent=1), encoding="utf-8")
    if script:
        chosen.apply()
        session.script.write(script)
