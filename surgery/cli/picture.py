"""`surgery picture`: a model's graph as SVG."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from surgery.cli.arguments import Model


def picture(
    model: Model,
    out: Annotated[Path, typer.Option(help="the file to write")] = Path("graph.svg"),
    script: Annotated[Path | None, typer.Option(help="steps to apply first; changes are marked")] = None,
    open: Annotated[
        str | None, typer.Option(help="a module to show from inside, such as 'model.layers[3]'")
    ] = None,
    dark: Annotated[bool, typer.Option("--dark", help="for a dark page")] = False,
    skeleton: Annotated[bool, typer.Option(help="do not load weights")] = False,
) -> None:
    """Draw a model, or a script's result on it, as an SVG that stands by itself."""
    import surgery

    if script is not None and skeleton:
        raise surgery.SurgeryError("--script computes weights, and --skeleton does not load them: give one")
    session = surgery.replay(script, model) if script else surgery.open(model, skeleton=skeleton)
    print(session.picture(open, dark=dark).write(out))
