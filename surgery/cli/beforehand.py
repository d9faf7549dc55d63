"""`surgery replay --dry-run` and `--check`: what would be done, and whether all is as it was."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from surgery.script import Script


def print_dry_run(script: Script, model: str | None, out: Path | None, options: Mapping[str, Any]) -> None:
    """Prints every tensor that a replay would write."""
    from surgery.dry_run import dry_run
    from surgery.show.outlook import outlook_lines

    found = dry_run(script, model, out, **options)
    typer.echo("\n".join(outlook_lines(found)))


def print_check(
    script: Path, model: str | None, out: Path | None, allow_factory: str | None, models: Mapping[str, str]
) -> None:
    """Prints a line for each thing the script knows; exit status 2 if one is not as it was."""
    from surgery.checking import check

    good = True
    for finding in check(script, model, out, allow_factory=allow_factory, models=models):
        typer.echo(str(finding))
        good = good and finding.good
    if not good:
        raise typer.Exit(2)


def refuse_with(option: str, others: Mapping[str, object]) -> None:
    """SurgeryError if one of the other options is given, which say nothing beside this one."""
    from surgery.errors import SurgeryError

    if given := next((name for name, value in others.items() if value), None):
        raise SurgeryError(f"{option} writes nothing, so {given} has no meaning beside it")
