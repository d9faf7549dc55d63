"""`surgery evaluate`: what surgery cost."""

from __future__ import annotations

from json import dumps
from pathlib import Path
from typing import Annotated

import typer

from surgery.cli.arguments import Model


def evaluate(
    model: Model,
    script: Annotated[Path | None, typer.Option(help="steps to apply first; compared with the base")] = None,
    task: Annotated[
        list[str] | None,
        typer.Option(help="what to measure, such as accuracy or generation:tokens=32; may be repeated"),
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(help="a text file, a folder of them, of images, or of Hugging Face datasets"),
    ] = None,
    text: Annotated[list[Path] | None, typer.Option(help="text files to measure on")] = None,
    stride: Annotated[
        int | None,
        typer.Option(help="tokens from one window of text to the next; by default a window", min=1),
    ] = None,
    split: Annotated[str | None, typer.Option(help="the split of a Hugging Face data set")] = None,
    budget: Annotated[float, typer.Option(help="seconds to spend", min=0.1)] = 2.0,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, mps")] = "auto",
    json: Annotated[bool, typer.Option("--json", help="the report as JSON")] = False,
) -> None:
    """Measure a model, or a script's result against its base; `surgery tasks` lists what can be measured."""
    import surgery
    from surgery.evaluate import examples_at, text_files
    from surgery.evaluate.data.windows import window_for
    from surgery.evaluate.tasks import tasks_of

    if text and data:
        raise surgery.SurgeryError("--text and --data both say what to measure on: give one")
    tasks = tasks_of(task) if task else None
    session = surgery.replay(script, model) if script else surgery.open(model)
    opened, examples = session.opened, None
    if data:
        examples = examples_at(data, opened, stride=stride, split=split)
    elif text:
        examples = text_files(text, opened.tokenizer, window_for(opened.model), stride)
    report = session.evaluate(budget, examples, device, tasks)
    typer.echo(dumps(report.to_dict(), indent=2) if json else str(report))
