"""`surgery sweep`: what each of many edits would cost."""

from __future__ import annotations

import sys
from inspect import signature
from json import dumps, loads
from pathlib import Path
from typing import Annotated

import typer

from surgery.cli.arguments import Model


def sweep(
    model: Model,
    operation: Annotated[str, typer.Argument(help="an operation, as `surgery operations` lists them")],
    select: Annotated[str, typer.Argument(help="where to try it, such as 'model.layers[*]'")],
    field: Annotated[
        list[str] | None, typer.Option(help="a field of the operation, such as ratio=0.5; may be repeated")
    ] = None,
    of: Annotated[int, typer.Option(help="so many neighbouring modules at a time", min=1)] = 1,
    each: Annotated[bool, typer.Option("--each", help="narrow: each head, neuron or expert in turn")] = False,
    task: Annotated[list[str] | None, typer.Option(help="what to measure, as in `evaluate`")] = None,
    data: Annotated[Path | None, typer.Option(help="what to measure on, as in `evaluate`")] = None,
    budget: Annotated[float, typer.Option(help="seconds to spend in all", min=0)] = 30.0,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, mps")] = "auto",
    exact: Annotated[bool, typer.Option("--exact", help="each edit by itself; none share a pass")] = False,
    ray: Annotated[
        bool,
        typer.Option("--ray", help="on workers of Ray, one thread each; of the cluster RAY_ADDRESS, or here"),
    ] = False,
    streamed: Annotated[
        bool,
        typer.Option("--streamed", help="read weights as they are needed: they may exceed the memory"),
    ] = False,
    resume: Annotated[
        Path | None, typer.Option(help="keep results in this file, and go on from it if it is there")
    ] = None,
    json: Annotated[Path | None, typer.Option(help="write the results to this file")] = None,
    script: Annotated[Path | None, typer.Option(help="write the best edits to this script")] = None,
    best: Annotated[int, typer.Option(help="how many edits the script has", min=1)] = 1,
) -> None:
    """Try an edit at every selected place and say what each costs, best first. Ctrl-C shows what is known."""
    import torch

    import surgery
    from surgery.evaluate import Stopped, examples_at
    from surgery.show.progress import interruptible

    fields = dict(_field(text) for text in field or ())
    for name in signature(surgery.Session.sweep).parameters.keys() & fields:
        raise surgery.SurgeryError(
            "is no field of an operation but an option of the sweep", path=name, hint=f"`--{name}`"
        )
    for path in (json, script):  # a sweep is long: what stands in the way of its end is said before it
        if path is not None and not path.parent.is_dir():
            raise surgery.SurgeryError("there is no such folder", path=str(path.parent))
    if ray:
        torch.set_num_threads(1)  # workers have as many as this process
    session = surgery.open(model, skeleton=streamed)
    examples = examples_at(data, session.opened) if data else None
    try:
        with interruptible() as (progress, stop):
            report = session.sweep(
                operation,
                select,
                of=of,
                each=each,
                budget_s=budget,
                examples=examples,
                device=device,
                tasks=task,
                exact=exact,
                ray=ray,
                resume=resume,
                progress=progress,
                stop=stop,
                **fields,
            )
    except Stopped:
        print("surgery: stopped before anything was measured", file=sys.stderr)
        raise typer.Exit(130) from None
    print(report)
    if json:
        json.write_text(dumps(report.to_dict(), indent=1), encoding="utf-8")
    if script:
        for step in report.best(best):
            session.apply(step)
        session.script.write(script)


def _field(text: str) -> tuple[str, object]:
    """A field as the command line gives it: `ratio=0.5`, `units=heads`."""
    from surgery.errors import SurgeryError

    name, equals, value = text.partition("=")
    if not equals or not name:
        raise SurgeryError("a field is given with its value", got=text, expected="name=value")
    try:
        return name, loads(value)
    except ValueError:
        return name, value
