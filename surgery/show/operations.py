"""All operations, tasks and advisers, as a table in the terminal."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from rich.console import Console
from rich.table import Table
from rich.text import Text

from surgery.entries import Unavailable
from surgery.registry import register
from surgery.typed import Typed


def print_operations() -> None:
    """Prints every operation with what becomes true, its fields and its source; last those that failed."""
    found = register()
    _print(("operation", "what becomes true", "fields", "source"), found.operations, found.unavailable)


def print_tasks() -> None:
    """Prints every task with what it measures, its fields, its source; last those that failed."""
    from surgery.evaluate.tasks.register import register as tasks

    found = tasks()
    _print(("task", "what it measures", "fields", "source"), found.tasks, found.unavailable)


def print_advisers() -> None:
    """Prints every adviser with what it says, its fields, its source and cost; last those that failed."""
    from surgery.advise.register import register as advisers

    found = advisers()
    costs = {name: cls.cost for name, cls in found.advisers.items()}
    titles = ("adviser", "what it says", "fields", "source", "what it reads")
    _print(titles, found.advisers, found.unavailable, costs)


def _print(
    titles: tuple[str, ...],
    known: Mapping[str, type[Typed]],
    failed: Iterable[Unavailable],
    last: Mapping[str, str] | None = None,
) -> None:
    table = Table(box=None, padding=(0, 2, 1, 0))
    for title in titles:
        table.add_column(title)
    for name, cls in known.items():
        fields = ", ".join(
            spec.name if spec.required else f"{spec.name}={spec.default!r}"
            for spec in cls.specs
            if spec.is_asked
        )
        more = () if last is None else (Text(last[name]),)
        table.add_row(Text(name), Text(cls.summary()), Text(fields), Text(cls.source), *more)
    for item in failed:
        table.add_row(Text(item.name), Text(f"unavailable: {item.reason}"), Text(""), Text(item.source))
    Console().print(table)
