"""`surgery replay --evaluate`: what the result and the models it was made from are worth beside the base."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from surgery.script import Script


def print_outcome(
    script: Script, model: Any, skeleton: bool, task: Sequence[str] | None, data: Path | None, budget: float
) -> None:
    """Prints a line for each further model of the script and one for the result."""
    import surgery
    from surgery.evaluate import examples_at
    from surgery.evaluate.tasks import tasks_of
    from surgery.merging.outcome import outcome

    examples = None
    if data is not None:
        examples = examples_at(data, surgery.open(model, skeleton=skeleton).opened)
    tasks = tasks_of(list(task)) if task else None
    found = outcome(script, model, budget_s=budget, examples=examples, tasks=tasks, skeleton=skeleton)
    typer.echo("\n".join(map(str, found)))
