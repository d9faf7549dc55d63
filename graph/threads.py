"""Tie threads: which ties are seen between the things drawn, each with a number."""

from __future__ import annotations

from dataclasses import dataclass

from graph.nodes import ModuleGraph


@dataclass(frozen=True)
class Thread:
    """Ties that join the same visible things; `owners` are the modules whose tensors are tied."""

    index: int
    ends: tuple[str, ...]
    owners: frozenset[str]


def threads(graph: ModuleGraph, visible: set[str]) -> list[Thread]:
    """The ties of a graph, lifted to the visible paths around them and numbered from 1.

    Ties between the same ends are one thread; where all ends lie in one visible thing, the
    modules themselves are the ends.
    """
    grouped: dict[tuple[str, ...], set[str]] = {}
    for tie in graph.ties:
        owners = [path if path in graph else path.rpartition(".")[0] for path in tie.paths]
        lifted = tuple(dict.fromkeys(_lifted(owner, visible) for owner in owners))
        ends = lifted if len(lifted) > 1 else tuple(dict.fromkeys(owners))
        grouped.setdefault(ends, set()).update(owners)
    return [
        Thread(number, ends, frozenset(owners)) for number, (ends, owners) in enumerate(grouped.items(), 1)
    ]


def numbers(found: list[Thread]) -> dict[str, list[int]]:
    """Thread numbers by path, for every end and every owner of tied tensors."""
    by_path: dict[str, list[int]] = {}
    for thread in found:
        for path in dict.fromkeys((*thread.ends, *sorted(thread.owners))):
            by_path.setdefault(path, []).append(thread.index)
    return by_path


def _lifted(path: str, visible: set[str]) -> str:
    at = path
    while at not in visible and at:
        at = at.rpartition(".")[0]
    return at if at in visible else path
