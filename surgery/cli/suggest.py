"""`surgery suggest`: which edits to make next."""

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


def suggest(
    model: Model,
    operation: Operations = None,
    select: Select = None,
    of: Of = "parameters",
    count: Annotated[int, typer.Option(help="how many", min=1)] = 10,
    why: Annotated[bool, typer.Option("--why", help="the reasons for each")] = False,
    take: Annotated[int | None, typer.Option(help="which of them the script makes", min=1)] = None,
    task: SweepTasks = None,
    data: SweepData = None,
    budget: Seconds = 30.0,
    device: Device = "auto",
    json: Annotated[Path | None, typer.Option(help="write the list to this file")] = None,
    script: Annotated[Path | None, typer.Option(help="write the first, or the one to take, to this")] = None,
) -> None:
    """Try edits at every block and say which to make, what each saves and costs, best first."""
    import surgery
    from surgery.evaluate import Stopped, examples_at
    from surgery.show.progress import interruptible

    refuse_without_folder(json, script)
    if take is not None and script is None:
        raise surgery.SurgeryError("--take says which edit the script makes, and --script is not given")
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
    except Stopped:
        print("surgery: stopped before anything was measured", file=sys.stderr)
        raise typer.Exit(130) from None
    found = session.suggest(max(count, take or 0), of)
    if take is not None and take > len(found):
        raise surgery.SurgeryError("there are not so many suggestions", got=take, expected=len(found))
    for place, item in enumerate(found, start=1):
        typer.echo(f"{place:>3}  {item}")
        for reason in item.why if why else ():
            typer.echo(f"       {reason}")
    typer.echo(f"({found.note}{f'; {found.others} more' if found.others else ''})")
    if json:
        json.write_text(dumps([item.to_dict() for item in found], indent=1), encoding="utf-8")
    if script:
        found[(take or 1) - 1].apply()
        session.script.write(script)
