"""The command `surgery`. Refusals print one sentence and exit with 2.

A command is a function in a file of its own, which imports what it needs once it runs: `surgery --help` loads
no torch.
"""

from __future__ import annotations

import sys

import typer

from surgery.cli.advise import advise
from surgery.cli.ask import ask
from surgery.cli.diff import diff
from surgery.cli.evaluate import evaluate
from surgery.cli.inspect import inspect
from surgery.cli.kinship import kinship
from surgery.cli.lists import advisers, operations, tasks
from surgery.cli.picture import picture
from surgery.cli.plan import plan
from surgery.cli.replay import replay
from surgery.cli.report import report
from surgery.cli.simplify import simplify
from surgery.cli.speed import speed
from surgery.cli.studio import start
from surgery.cli.suggest import suggest
from surgery.cli.sweep import sweep

app = typer.Typer(
    help="Open any PyTorch model as a graph; tie, merge, prune and adapt it; replay every edit.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
COMMANDS = (
    inspect,
    replay,
    evaluate,
    ask,
    tasks,
    advise,
    advisers,
    sweep,
    suggest,
    plan,
    simplify,
    speed,
    diff,
    kinship,
    operations,
    picture,
    report,
)
for command in COMMANDS:
    app.command()(command)
_ITS_OWN = {"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}
"""The studio's command line is the studio's to read, its help too."""

app.command(name="app", context_settings=_ITS_OWN)(start)


def main() -> None:
    """The entry point: SurgeryError becomes a sentence and exit status 2."""
    from surgery.errors import SurgeryError

    try:
        app()
    except SurgeryError as error:
        print(f"surgery: {error}", file=sys.stderr)
        sys.exit(2)
