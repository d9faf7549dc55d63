"""`surgery ask`: what a model, before and after a script, answers; and which step is to blame."""

from __future__ import annotations

import sys
from json import dumps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from surgery.cli.arguments import Factory, Models, base_and_others

if TYPE_CHECKING:
    from surgery.prompting import Answers
    from surgery.session import Session


def ask(
    source: Annotated[
        str,
        typer.Argument(
            metavar="MODEL | SCRIPT",
            help="an edit script or a mergekit file, whose base answers beside its result; or a model, as in "
            "`evaluate`, which answers alone",
        ),
    ],
    prompt: Annotated[str | None, typer.Argument(help="the text to go on from", show_default=False)] = None,
    image: Annotated[Path | None, typer.Option(help="an image file, for models of images")] = None,
    example: Annotated[
        int | None, typer.Option(help="this example of the data, by its number", min=0)
    ] = None,
    tokens: Annotated[int, typer.Option(help="tokens to write at most", min=1)] = 64,
    temperature: Annotated[float, typer.Option(help="0 takes the likeliest token", min=0)] = 0.0,
    seed: Annotated[int, typer.Option(help="of what is drawn, the same for both models")] = 0,
    top: Annotated[int, typer.Option(help="classes or neighbours to show", min=1)] = 5,
    blame: Annotated[
        str | None,
        typer.Option(
            metavar="POSITION",
            help='revert each step in turn, at this token, from 0, or "first": the divergence',
        ),
    ] = None,
    of: Annotated[str, typer.Option(help="with --blame: whose text, original or edited")] = "original",
    data: Annotated[
        Path | None, typer.Option(help="what examples and neighbours are taken from, as in `evaluate`")
    ] = None,
    model: Models = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, mps")] = "auto",
    json: Annotated[bool, typer.Option("--json", help="answers, and blame, as JSON")] = False,
    allow_factory: Factory = None,
) -> None:
    """Ask the original and the edited model the same: answers side by side, and what each step did to them.

    On a terminal both are shown as they are written. Ctrl-C shows what was written by then.
    """
    import surgery
    from surgery.evaluate import Stopped, examples_at
    from surgery.show.progress import interruptible
    from surgery.show.prompting_live import live_answers

    given: Any = [item for item in (prompt, image, example) if item is not None]
    if len(given) != 1:
        raise surgery.SurgeryError("one thing is asked", expected="a prompt, --image or --example")
    if of != "original" and blame is None:
        raise surgery.SurgeryError("--of says whose text is blamed for, and --blame is not given")
    session = _session(source, model or [], allow_factory)
    examples = examples_at(data, session.opened) if data else None
    try:
        with interruptible(bar=False) as (_, stop), live_answers() as told:
            answers = session.ask(
                image if image is not None else prompt,
                example=example,
                tokens=tokens,
                temperature=temperature,
                seed=seed,
                top=top,
                examples=examples,
                device=device,
                on_token=told,
                stop=stop,
            )
        blamed = None
        if blame is not None:
            with interruptible() as (progress, stop):
                side: Any = of
                blamed = session.blame(
                    answers,
                    _position(blame, answers),
                    side,
                    examples=examples,
                    device=device,
                    progress=progress,
                    stop=stop,
                )
    except Stopped:
        print("surgery: stopped before anything was said", file=sys.stderr)
        raise typer.Exit(130) from None
    if json:
        typer.echo(dumps({"answers": answers.to_dict(), "blame": blamed and blamed.to_dict()}, indent=2))
        return
    typer.echo(str(answers))
    if blamed is not None:
        typer.echo(f"\n{blamed}")


def _session(source: str, models: list[str], allow_factory: str | None) -> Session:
    """The session after a script, or on a model alone."""
    import surgery
    from surgery.mergekit import is_file

    if is_file(source) or (source.endswith(".json") and not source.endswith("config.json")):
        base, others = base_and_others(models)
        return surgery.replay(source, base, allow_factory=allow_factory, models=others)
    if models or allow_factory:
        raise surgery.SurgeryError(
            "--model and --allow-factory say where the base of a script is", got=source
        )
    return surgery.open(source)


def _position(text: str, answers: Answers) -> int:
    """The position that was meant; of what is no text there is one."""
    from surgery.errors import SurgeryError

    if text == "first":
        return getattr(answers, "divergence", None) or 0
    if not text.isdecimal():
        raise SurgeryError("is no position", path="--blame", got=text, expected="a number from 0, or first")
    return int(text)
