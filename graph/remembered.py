"""What is found out of a graph once: a graph never changes, so it keeps the answer as long as it lives."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import TypeVar, cast

from graph.nodes import ModuleGraph

Answer = TypeVar("Answer")


def once_per_graph(function: Callable[[ModuleGraph], Answer]) -> Callable[[ModuleGraph], Answer]:
    """The function, called once for each graph; its answers are shared, so nobody changes them."""
    key = f"{function.__module__}.{function.__qualname__}"

    @wraps(function)
    def remembering(graph: ModuleGraph) -> Answer:
        known = graph.__dict__  # as `cached_property` keeps what the graph itself finds out
        if key not in known:
            known[key] = function(graph)
        return cast(Answer, known[key])

    return remembering
