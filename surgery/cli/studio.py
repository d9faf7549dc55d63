"""`surgery app`: the studio."""

from __future__ import annotations

import typer


def start(context: typer.Context) -> None:
    """Start the studio as a web app on this machine."""
    from surgery.frontends import frontend

    raise typer.Exit(frontend("app")(context.args))
