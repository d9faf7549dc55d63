"""Starting Ray in tests."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def patiently(start: Callable[[], Any]) -> Any:
    """What `start` gives. Ray waits 30 s for its own processes, and a busy machine may need more tries."""
    for _ in range(2):
        try:
            return start()
        except Exception as error:
            if "timed out during startup" not in str(error):
                raise
    return start()
