"""All operations as a table in the terminal."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table
from rich.text import Text

from surgery.registry import register


def print_operations() -> None:
    """Prints every operation with what becomes true, its fields and its source; last those that failed."""
    table = Table(box=None, padding=(0, 2, 1, 0))
    for title in ("operation", "what becomes true", "fields", "source"):
        table.add_column(title)
    found = register()
    for name, cls in found.operations.items():
        fields = ", ".join(
            spec.name if spec.required else f"{spec.name}={spec.default!r}"
            for spec in cls.specs
            if spec.is_asked
        )
        table.add_row(Text(name), Text(cls.summary()), Text(fields), Text(cls.source))
    for item in found.unavailable:
        table.add_row(Text(item.name), Text(f"unavailable: {item.reason}"), Text(""), Text(item.source))
    Console().print(table)
