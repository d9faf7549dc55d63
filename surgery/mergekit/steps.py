"""Steps of ours by the names of operations."""

from __future__ import annotations

from typing import Any

from surgery.operation import Operation
from surgery.registry import operation_named


def step(name: str, **fields: Any) -> Operation:
    """The operation with these fields."""
    return operation_named(name).from_fields(fields)
