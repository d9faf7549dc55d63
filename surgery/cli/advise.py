"""`surgery advise`: where a cut is likely to be cheap, before it is made."""

from __future__ import annotations

import sys
from json import dumps
from pathlib import Path
from typing import Annotated

import typer

from surgery.cli.arguments import Model


def advise(
    model: Model,
    adviser: Annotated[
        list[str] | None,
        typer.Option(help="whom to ask, such as snip or angular_distance:n=2; may be repeated; else all"),
    ] = None,
    select: Annotated[str | None, typer.Option(help="what to score; by default the blocks")] = None,
    script: Annotated[Path | None, typer.Option(help="steps to apply first")] = None,
    data: Annotated[Path | None, typer.Option(help="what to look at, as in `evaluate`")] = None,
    budget: Annotated[float, typer.Option(help="seconds for each", min=0)] = 2.0,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, mps")] = "auto",
    json: Annotated[bool, typer.Option("--json", help="the advice as JSON")] = False,
) -> None:
    """Score a model's blocks, cheapest to edit first; `surgery advisers` lists who can be asked.

    Asked of all, those who find nothing to score say why. Ctrl-C shows what is known.
    """
    import surgery
    from surgery.advise import advisers
    from surgery.evaluate import Stopped, examples_at
    from surgery.show.progress import interruptible

    session = surgery.replay(script, model) if script else surgery.open(model)
    examples = examples_at(data, session.opened) if data else None
    found, said, stopped = [], [], False
    with interruptible() as (progress, stop):
        for word in adviser or advisers():
            try:
                advice = session.advise(word, select, budget, examples, device, progress=progress, stop=stop)
            except Stopped:
                stopped = True
                break
            except surgery.SurgeryError as refusal:
                if adviser:
                    raise
                said.append(f"{word}: {refusal.sentence(with_hint=False)}")
            else:
                found.append(advice.to_dict())
                said.append(f"{advice.title} ({advice.adviser}; {advice.source})\n{advice}")
    if stopped and not found:
        print("surgery: stopped before anything was scored", file=sys.stderr)
        raise typer.Exit(130)
    typer.echo(dumps(found, indent=2, allow_nan=False) if json else "\n\n".join(said))
