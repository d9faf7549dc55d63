"""A graph as an outline: lines with figures and marks, alike blocks folded. Terminal and notebook draw it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from graph.costs import costs
from graph.export.text import shortened, visible
from graph.nodes import ModuleGraph, ModuleNode
from graph.repeats import runs
from graph.rollup import Share, rollup
from graph.tree import join
from graph.units import short
from surgery.show.marks import Mark, Marks, stretches, tie_sentence

FEWEST_LEAVES = 3
"""So many alike modules without insides must stand side by side before they are folded."""
MOST_PARTS = 6
"""So many stretches of an interrupted run are named; of more, the first and the last."""


@dataclass(frozen=True, slots=True)
class Line:
    """One module, or blocks that are alike; the first of them stands for all and is the one opened."""

    nodes: tuple[ModuleNode, ...]
    label: str

    @property
    def node(self) -> ModuleNode:
        return self.nodes[0]

    @property
    def kind(self) -> str:
        """The class, and how many."""
        name = shortened(visible(self.node.class_name))
        return f"{name} × {len(self.nodes):,}" if len(self.nodes) > 1 else name


class Outline:
    """The lines of a graph.

    With `fold`, alike blocks of a list share a line, also where others stand between them, unless
    their ties, opaque modules or the failed forward tell them apart.
    """

    def __init__(self, graph: ModuleGraph, *, fold: bool = True) -> None:
        self.graph = graph
        self.titles = ("parameters", "bytes", f"MACs per {graph.unit}")
        self.shares: dict[str, Share] = rollup(graph)
        self.marked = Marks(graph)
        self.places = {
            path: place for node in graph.modules for place, path in enumerate(self.paths_below(node))
        }
        """By path, its place among the children of its parent."""
        self.groups = self._groups() if fold else {}
        self.shown = [place for place, figure in enumerate(self.figures(self.root())) if figure]
        """Which of the titles have figures anywhere: all of them lie below the root."""

    def root(self) -> Line:
        """The line of the whole model."""
        return Line((self.graph[""],), "")

    def children(self, line: Line) -> list[Line]:
        """The lines below `line`; of alike blocks those of the first."""
        lines = []
        for path in self.paths_below(line.node):
            group = self.groups.get(path, (path,))
            if group[0] == path:
                nodes = tuple(self.graph[member] for member in group)
                lines.append(Line(nodes, self._label(group)))
        return lines

    def paths_below(self, node: ModuleNode) -> list[str]:
        """Paths of the children; one that holds its own ancestor has fewer than names."""
        paths = (join(node.path, name) for name in node.children)
        return [path for path in paths if path in self.graph]

    def figures(self, line: Line) -> tuple[str, ...]:
        """Parameters, bytes, MACs per token or example, `n × each` of alike blocks; empty if there are none.

        What one module at several places holds is counted once.
        """
        shares = [self.shares[node.path] for node in line.nodes]
        held = shares[:1] if len({node.tie for node in line.nodes} | {None}) == 2 else shares
        return (
            _figure([share.parameters for share in held]),
            _figure([share.size_bytes for share in held], "B"),
            _figure([share.macs / self.graph.tokens for share in shares]),
        )

    def marks(self, line: Line, *, closed: bool = False) -> list[Mark]:
        """What is marked on a line; on a closed one also what is marked below it."""
        return [*self.marked.at(line.node.path), *(self.marks_inside(line) if closed else ())]

    def marks_inside(self, line: Line) -> list[Mark]:
        """What is marked below a line."""
        return list(self.marked.inside(line.node.path))

    def modules_inside(self, line: Line) -> int:
        """Modules below the first of the line's blocks."""
        return self.marked.size[line.node.path] - 1

    def summary(self) -> list[str]:
        """A line on what a run of the whole costs beside its weights; none for a graph without calls."""
        if not self.graph.calls:
            return []
        found, unit = costs(self.graph), self.graph.unit
        count = f"{self.graph.tokens:,} {unit}{'s' if self.graph.tokens > 1 else ''}"
        kept = short(found.activation_bytes, "B")
        parts = [f"over {count}: {short(found.macs)} MACs, {kept} of activations"]
        if found.decode_macs is not None:
            parts.append(f"a decode step after them {short(found.decode_macs)} MACs")
        if found.kv_bytes_per_token is not None:
            parts.append(f"KV cache {short(found.kv_bytes_per_token, 'B')} per token")
        return ["; ".join(parts)]

    def notes(self, note: str | None = None) -> list[str]:
        """What there is to say about the whole: a failed forward, no forward at all, and `note`."""
        problem, said = self.graph.problem, []
        if problem:
            where = shortened(visible(problem.path), 200) or "(root)"
            said.append(f"{where}: the forward fails: {shortened(visible(problem.message), 500)}")
        elif not self.graph.calls and not note:
            said.append(
                "There were no example inputs, so nothing is known of calls and MACs. "
                "Pass them: surgery.open(model, inputs=...)"
            )
        return [*said, visible(note)] if note else said

    def ties(self, most: int | None = None) -> Iterator[str]:
        """A sentence per tie, with its paths; of many ties and many paths the first `most`."""
        yield from (tie_sentence(tie, most) for tie in self.graph.ties[:most])
        if most is not None and len(self.graph.ties) > most:
            yield f"… {len(self.graph.ties) - most:,} more ties"

    # Inside -----------------------------------------------------------------------------------

    def _label(self, group: Sequence[str]) -> str:
        """`embed_tokens`; of alike blocks `0–2, 4–6`."""
        if len(group) == 1:
            return shortened(visible(self.graph[group[0]].name))
        parts = []
        for stretch in stretches([self.places[path] for path in group]):
            names = [self.graph[group[place]].name for place in stretch]
            ends = [shortened(visible(name), 24) for name in (names[0], names[-1])]
            parts.append(ends[0] if len(names) == 1 else "–".join(ends))
        if len(parts) > MOST_PARTS:
            parts = [*parts[: MOST_PARTS - 2], "…", parts[-1]]
        return ", ".join(parts)

    def _groups(self) -> dict[str, tuple[str, ...]]:
        """By path of a folded block, the paths it shares its line with."""
        alike = runs(self.graph)
        signs = self._signs({path for run in alike for path in run.paths})
        found: dict[str, tuple[str, ...]] = {}
        for run in alike:
            apart: dict[frozenset[object], list[str]] = defaultdict(list)
            for path in run.paths:
                apart[frozenset(signs.get(path, ()))].append(path)
            for members in apart.values():
                for group in self._together(members):
                    found.update(dict.fromkeys(group, tuple(group)))
        return found

    def _together(self, members: list[str]) -> Iterator[list[str]]:
        """Blocks with insides fold over gaps, plain modules only side by side: there the order matters."""
        if self.graph[members[0]].children:
            yield members
            return
        for stretch in stretches([self.places[path] for path in members]):
            if len(stretch) >= FEWEST_LEAVES:
                yield [members[place] for place in stretch]

    def _signs(self, blocks: set[str]) -> dict[str, list[object]]:
        """By path of a block, what sets it apart from others of its structure.

        A tie that stays inside a block is the same for all of them, whatever its number.
        """
        signs: dict[str, list[object]] = defaultdict(list)

        def note(path: str, *sign: object) -> None:
            for above in _upwards(path):
                if above in blocks:
                    signs[above].append((path.removeprefix(above), *sign))

        for node in self.graph.modules:
            if node.opaque is not None:
                note(node.path, "opaque")
        if self.graph.problem:
            note(self.graph.problem.path, "problem")
        for tie in self.graph.ties:
            around = [set(_upwards(path)) & blocks for path in tie.paths]
            shared = set.intersection(*around) if around else set()
            for path, above in zip(tie.paths, around, strict=True):
                for block in above:
                    with_what = tie.paths[0].removeprefix(block) if block in shared else tie.index
                    signs[block].append((path.removeprefix(block), with_what))
        return signs


def _upwards(path: str) -> Iterator[str]:
    """The path and its ancestors, without the root."""
    while path:
        yield path
        path = path.rpartition(".")[0]


def _figure(each: list[float] | list[int], unit: str = "") -> str:
    low, high = min(each), max(each)
    if not high:
        return ""
    text = short(high, unit) if low == high else f"{short(low, unit)}–{short(high, unit)}"
    return text if len(each) == 1 else f"{len(each):,} × {text}"
