"""`surgery diff`: what is different between two models."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from surgery.cli.arguments import Model


def diff(
    before: Model,
    after: Annotated[str | None, typer.Argument(help="the other model, given in the same ways")] = None,
    script: Annotated[Path | None, typer.Option(help="compare with what these steps make of it")] = None,
    weights: Annotated[bool, typer.Option(help="read values: alike blocks are told apart")] = False,
    json: Annotated[bool, typer.Option(help="the difference as JSON")] = False,
) -> None:
    """Show what is different between two models, or between a model and a script's result on it.

    Modules removed, added and moved, ties, shapes and attributes; with --weights also values. Only
    structure is read otherwise, and of alike blocks nothing tells which one is gone. Exit status 0 if
    nothing is different, 1 if something is, 2 for an error.
    """
    import surgery
    from surgery.compare import compare, compare_with_base
    from surgery.show.diff import diff_json, print_diff

    if (after is None) == (script is None):
        raise surgery.SurgeryError("diff needs a second model or a script, and not both")
    if script is not None:
        found = compare_with_base(surgery.replay(script, before), weights=weights)
    else:
        one, two = (surgery.open(str(model), skeleton=not weights) for model in (before, after))
        found = compare(one, two, weights=weights)
    if json:
        print(diff_json(found))
    else:
        print_diff(found)
    raise typer.Exit(1 if found else 0)
