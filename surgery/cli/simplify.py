"""`surgery simplify`: what a model does not need to compute what it computes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from surgery.cli.arguments import Model


def simplify(
    model: Model,
    out: Annotated[Path | None, typer.Option(help="write the simpler model to this folder")] = None,
    script: Annotated[Path | None, typer.Option(help="write the steps to this script")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="replace what is in the folder")] = False,
) -> None:
    """Fold norms and join branches wherever that is exact, prove it, and say what is left and why."""
    import surgery
    from surgery.checkpoint.manifest import may_write
    from surgery.cli.swept import refuse_without_folder

    refuse_without_folder(script)
    if out is not None:
        may_write(out, overwrite)
    session = surgery.open(model)
    found = session.simplify()
    typer.echo(str(found))
    if script:
        session.script.write(script)
    if out:
        session.save(out, overwrite=overwrite)
