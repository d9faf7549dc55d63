"""What there is to know about a line: its ties, what nobody could look into, where the forward failed."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from graph.export.text import shortened, visible
from graph.nodes import ModuleGraph, Tie
from graph.paths import is_below


@dataclass(frozen=True, slots=True)
class Mark:
    """A few words at a line; `detail` says more where there is room for it."""

    kind: Literal["tie", "opaque", "problem"]
    text: str
    detail: str = ""


class Marks:
    """The marks of every path, in the order of the tree."""

    def __init__(self, graph: ModuleGraph) -> None:
        self.graph = graph
        at: dict[str, list[int]] = defaultdict(list)
        for tie in graph.ties:
            for path in tie.paths:
                at[path].append(tie.index)
        self.ties = {
            node.path: sorted({i for path in (node.path, *(t.path for t in node.tensors)) for i in at[path]})
            for node in graph.modules
        }
        self.place = {node.path: place for place, node in enumerate(graph.modules)}
        self.size = _sizes(graph)
        # In tree order everything below a module follows it, so what is marked there is one stretch.
        self.tied = [self.place[path] for path, numbers in self.ties.items() if numbers]
        self.opaque = [self.place[node.path] for node in graph.modules if node.opaque is not None]

    def at(self, path: str) -> Iterator[Mark]:
        """What is marked on the module itself."""
        if self.ties[path]:
            yield self._tie_mark(self.ties[path])
        reason = self.graph[path].opaque
        if reason is not None:
            yield Mark(
                "opaque", f"opaque: {shortened(visible(reason), 160)}", shortened(visible(reason), 500)
            )
        problem = self.graph.problem
        if problem and problem.path == path:
            yield Mark("problem", f"fails here: {shortened(visible(problem.message), 160)}")

    def inside(self, path: str) -> Iterator[Mark]:
        """What is marked below a module that isn't opened, in one mark of each kind."""
        tied = self._within(self.tied, path)
        if tied:
            paths = [self.graph.modules[place].path for place in tied]
            numbers = sorted({index for below in paths for index in self.ties[below]})
            yield self._tie_mark(numbers, " inside")
        opaque = len(self._within(self.opaque, path))
        if opaque:
            yield Mark("opaque", f"{opaque:,} opaque inside")
        problem = self.graph.problem
        if problem and problem.path != path and is_below(problem.path, path):
            where = shortened(visible(problem.path))
            message = shortened(visible(problem.message), 160)
            yield Mark("problem", f"fails inside, at {where}: {message}")

    def _within(self, places: list[int], path: str) -> list[int]:
        first = self.place[path]
        return places[bisect_right(places, first) : bisect_left(places, first + self.size[path])]

    def _tie_mark(self, numbers: list[int], where: str = "") -> Mark:
        word = "tie" if len(numbers) == 1 else "ties"
        detail = [tie_sentence(self.graph.ties[number], 4) for number in numbers[:4]]
        detail += [f"… {len(numbers) - 4:,} more ties"] if len(numbers) > 4 else []
        return Mark("tie", f"{word} {_ranges(numbers)}{where}", "\n".join(detail))


def tie_sentence(tie: Tie, most: int | None = None) -> str:
    """The tie with its number and paths, of many paths the first `most`."""
    paths = [shortened(visible(path)) for path in tie.paths[:most]]
    rest = len(tie.paths) - len(paths)
    return f"tie {tie.index + 1} ({tie.kind}): {' = '.join(paths)}" + (f" = … {rest:,} more" if rest else "")


def stretches(places: Sequence[int]) -> list[list[int]]:
    """Indices into `places`, which rise, cut where one is left out."""
    found: list[list[int]] = []
    for index, place in enumerate(places):
        if found and places[index - 1] == place - 1:
            found[-1].append(index)
        else:
            found.append([index])
    return found


def _ranges(numbers: list[int]) -> str:
    """`1, 3–5`, counted from 1; of many stretches the first three and the last."""
    parts = [
        f"{numbers[cut[0]] + 1}" + (f"–{numbers[cut[-1]] + 1}" if len(cut) > 1 else "")
        for cut in stretches(numbers)
    ]
    return ", ".join(parts if len(parts) <= 5 else [*parts[:3], "…", parts[-1]])


def _sizes(graph: ModuleGraph) -> dict[str, int]:
    """Modules at and below each path."""
    sizes = {node.path: 1 for node in graph.modules}
    for node in reversed(graph.modules):
        parent = node.path.rpartition(".")[0]
        if node.path and parent in sizes:
            sizes[parent] += sizes[node.path]
    return sizes
