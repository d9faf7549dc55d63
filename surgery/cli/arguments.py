"""What several commands are given."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from surgery.errors import SurgeryError

Model = Annotated[
    str,
    typer.Argument(
        help="a transformers folder or config.json, a hub id, a saved folder, timm:NAME, torchvision:NAME, a "
        'factory package.module:function (its code is run), "demo", "demo-cnn" or "demo-vit"'
    ),
]

Script = Annotated[
    Path, typer.Argument(help="an edit script, *.surgery.json, or a mergekit file, *.yml", show_default=False)
]

Models = Annotated[
    list[str] | None,
    typer.Option(
        metavar="FOLDER | NAME=FOLDER",
        help="the base, or one of the further models by its name in the script; by default where it says",
    ),
]

Factory = Annotated[
    str | None, typer.Option(metavar="NAME", help="run this factory if the script names it as its base")
]
Tasks = Annotated[list[str] | None, typer.Option(help="with --evaluate: what to measure")]
Data = Annotated[Path | None, typer.Option(help="with --evaluate: what to measure on")]


def refuse_unevaluated(evaluate: bool, **given: object) -> None:
    """Refuses options of --evaluate that are given without it, by their names."""
    lone = next((name for name, value in given.items() if value), None)
    if lone is not None and not evaluate:
        raise SurgeryError(f"--{lone} says how the result is measured, and --evaluate is not given")


def base_and_others(given: Sequence[str]) -> tuple[str | None, dict[str, str]]:
    """The base among `FOLDER` and `NAME=FOLDER`, if it is there, and the others by name."""
    from surgery.fields import Parent

    base, others = None, {}
    for text in given:
        parent = Parent.of(text)
        if parent.alias is None:
            if base is not None:
                raise SurgeryError("is a second base", path=text, got=base, hint="`--model NAME=FOLDER`")
            base = text
        else:
            others[parent.alias] = parent.source
    return base, others
