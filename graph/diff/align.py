"""Two graphs laid side by side: which module of one is which module of the other.

Asked in this order, each question only about what is still alone:

1. *Origin*, where both graphs are states of one model: the same immutable id, wherever it sits now.
2. *Path*: below two modules that belong together, children of the same name; where one of them only
   wraps what the other is, what it wraps. The items of a numbered list have no name worth keeping,
   since whatever is behind a removed one is renumbered: they are paired as sequences, by the values
   they hold where digests are given, by structure, by class, and last by position where as many are
   left on both sides.
3. *Structure*: children of other names (renamed), and modules that moved to another parent.

Alike blocks without origins and digests can't be told apart. Then the earliest stay and the last
ones count as removed or added.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from graph.diff.sequences import best, common
from graph.diff.sides import Digests, Side
from graph.nodes import ModuleGraph, ModuleNode


@dataclass(frozen=True)
class Alignment:
    """Which module is which: paths by path, both ways. What is missing has no partner."""

    to_after: Mapping[str, str]
    to_before: Mapping[str, str]


def align(
    before: ModuleGraph,
    after: ModuleGraph,
    *,
    digests: tuple[Digests, Digests] | None = None,
    same_base: bool | None = None,
) -> Alignment:
    """Pairs the modules of two graphs. Exchanging the graphs exchanges the pairs and nothing else.

    `same_base` says that both are states of one model, so that equal origins mean the same module;
    two models opened separately have origins that only repeat their own paths. Not given, it is
    true if an origin of either graph is not a path of its own: only an edited state has such.
    """
    if same_base is None:
        same_base = is_edited(before) or is_edited(after)
    one, two = digests or ({}, {})
    made = _Aligner(Side(before, one), Side(after, two), same_base)
    made.run()
    return Alignment(made.to_after, made.to_before)


def is_edited(graph: ModuleGraph) -> bool:
    """Whether some module is no longer where its origin says, or was made by a step."""
    first: dict[str, str] = {}
    for node in graph.modules:
        first.setdefault(node.origin, node.path)  # a reused module has its first place as origin
    return any(origin != path for origin, path in first.items())


_Key = Callable[[Side, str], str | None]


class _Aligner:
    def __init__(self, before: Side, after: Side, same_base: bool) -> None:
        self.before, self.after, self.same_base = before, after, same_base
        self.has_digests = bool(before.digests or after.digests)
        self.to_after: dict[str, str] = {}
        self.to_before: dict[str, str] = {}

    def run(self) -> None:
        if self.same_base:
            self._by_origin()
        if "" not in self.to_after and "" not in self.to_before:
            self._together("", "")
        for node in self.before.graph.modules:  # parents first, so that each is paired before its children
            self._children(node.path)
        if not self.same_base:
            self._elsewhere()

    def _pair(self, one: str, two: str) -> None:
        if one not in self.to_after and two not in self.to_before:
            self.to_after[one], self.to_before[two] = two, one

    def _free(self, one: Sequence[str], two: Sequence[str]) -> tuple[list[str], list[str]]:
        """What is still alone of either."""
        mine = [path for path in one if path not in self.to_after]
        return mine, [path for path in two if path not in self.to_before]

    # Origins ----------------------------------------------------------------------------------

    def _by_origin(self) -> None:
        one = [node.path for node in self.before.graph.modules]
        two = [node.path for node in self.after.graph.modules]
        for mine, theirs in self._groups(one, two, Side.origin):
            if len(mine) == len(theirs) == 1:
                self._pair(mine[0], theirs[0])
        # A reused module has one origin at several places: told apart by where they are.
        for node in self.before.graph.modules:
            partner = self.to_after.get(node.path)
            if partner is not None:
                mine, theirs = self.before.children(node.path), self.after.children(partner)
                self._in_sequence(mine, theirs, Side.origin)
        for mine, theirs in self._groups(one, two, Side.origin):
            for path in mine:
                if path in theirs:
                    self._pair(path, path)
            self._in_order(mine, theirs)

    def _groups(
        self, one: Sequence[str], two: Sequence[str], key: _Key
    ) -> Iterator[tuple[list[str], list[str]]]:
        """What is alone on both sides and has the same key, groups in the order of the first side."""
        groups: dict[str, tuple[list[str], list[str]]] = defaultdict(lambda: ([], []))
        for place, (side, paths) in enumerate(
            zip((self.before, self.after), self._free(one, two), strict=True)
        ):
            for path in paths:
                name = key(side, path)
                if name is not None:
                    groups[name][place].append(path)
        yield from (group for group in groups.values() if group[0] and group[1])

    def _in_order(self, mine: Sequence[str], theirs: Sequence[str]) -> None:
        for one, two in zip(*self._free(mine, theirs), strict=False):
            self._pair(one, two)

    # Children of two modules that belong together ------------------------------------------------

    def _together(self, one: str, two: str) -> None:
        """Pairs what stands in the same place, unless one of them sits inside the other: in a wrapper."""
        outward = self._inside(self.after, two, self.before.graph[one])
        inward = self._inside(self.before, one, self.after.graph[two])
        if (outward is None) == (inward is None):
            self._pair(one, two)
        elif outward is not None:
            self._pair(one, outward)
        elif inward is not None:
            self._pair(inward, two)

    def _inside(self, side: Side, path: str, wanted: ModuleNode) -> str | None:
        """The one place below `path` that looks like `wanted`, a module of the other model.

        A whole model is also known by its class: in a wrapper it may have been pruned.
        """
        here = side.graph[path]
        if self.same_base or here.structure == wanted.structure:
            return None
        below = side.below(path)[1:]
        found = [node.path for node in below if node.structure == wanted.structure]
        if not path and len(found) != 1 and here.class_name != wanted.class_name:
            found = [node.path for node in below if node.class_name == wanted.class_name]
        return found[0] if len(found) == 1 else None

    def _children(self, path: str) -> None:
        partner = self.to_after.get(path)
        if partner is None:
            return
        one, two = self.before.children(path), self.after.children(partner)
        if not all(self._free(one, two)):
            return
        if self.before.is_numbered(path) and self.after.is_numbered(partner):
            self._items(one, two)
        else:
            self._names(one, two)

    def _names(self, one: Sequence[str], two: Sequence[str]) -> None:
        mine, theirs = self._free(one, two)
        by_name = {_name(path): path for path in theirs}
        for path in mine:
            if _name(path) in by_name:
                self._together(path, by_name[_name(path)])
        if self.same_base or not all(self._free(one, two)):
            return  # what is of another origin and another name is another module
        self._by_values(one, two)
        for mine, theirs in self._groups(one, two, Side.structure):
            self._in_order(mine, theirs)
        for mine, theirs in self._groups(one, two, Side.class_name):
            if len(mine) == len(theirs) == 1:
                self._pair(mine[0], theirs[0])

    def _items(self, one: Sequence[str], two: Sequence[str]) -> None:
        if self.has_digests:
            self._in_sequence(one, two, Side.content)
            self._by_values(one, two)
        self._in_sequence(one, two, Side.structure)
        if not self.same_base:
            for mine, theirs in self._groups(one, two, self._movable):
                self._in_order(mine, theirs)
        self._in_sequence(one, two, Side.class_name)
        for mine, theirs in self._gaps(one, two):
            if len(mine) == len(theirs):
                for path, other in zip(mine, theirs, strict=True):
                    self._together(path, other)

    def _movable(self, side: Side, path: str) -> str | None:
        """Structure, for items whose values don't say already that they are others."""
        return side.structure(path) if side.content(path) is None else None

    def _in_sequence(self, one: Sequence[str], two: Sequence[str], key: _Key) -> None:
        if not all(self._free(one, two)):
            return
        for mine, theirs in list(self._gaps(one, two)):
            pairs = common(
                [key(self.before, path) for path in mine], [key(self.after, path) for path in theirs]
            )
            for i, j in pairs:
                self._pair(mine[i], theirs[j])

    def _gaps(self, one: Sequence[str], two: Sequence[str]) -> Iterator[tuple[list[str], list[str]]]:
        """What is alone on both sides between two neighbours that kept their order."""
        # The name of a pair is the same from both sides, as `common` needs it to be.
        chain = common(
            [repr(sorted((path, self.to_after[path]))) if path in self.to_after else None for path in one],
            [repr(sorted((path, self.to_before[path]))) if path in self.to_before else None for path in two],
        )
        last = (-1, -1)
        for i, j in [*chain, (len(one), len(two))]:
            mine, theirs = self._free(one[last[0] + 1 : i], two[last[1] + 1 : j])
            if mine and theirs:
                yield mine, theirs
            last = (i, j)

    def _by_values(self, one: Sequence[str], two: Sequence[str]) -> None:
        """Modules that have tensors in common which no other of them has; the most in common first."""
        owners: list[dict[tuple[str, str], set[int]]] = []
        for side, paths in ((self.before, one), (self.after, two)):
            found: dict[tuple[str, str], set[int]] = defaultdict(set)
            for place, path in enumerate(paths if side.digests else ()):
                for value in side.values(path):
                    found[value].add(place)
            owners.append(found)
        weights: Counter[tuple[int, int]] = Counter()
        for value, mine in owners[0].items():
            theirs = owners[1].get(value, set())
            if len(mine) == len(theirs) == 1:
                i, j = min(mine), min(theirs)
                if one[i] not in self.to_after and two[j] not in self.to_before:
                    weights[i, j] += 1
        for i, j in best(weights):
            self._pair(one[i], two[j])

    # Other parents ------------------------------------------------------------------------------

    def _elsewhere(self) -> None:
        """Parts with parameters that are alone of their kind on both sides: they changed parents."""
        one, two = (
            [node.path for node in side.graph.modules if any(True for _ in side.tensors(node.path))]
            for side in (self.before, self.after)
        )
        groups = list(self._groups(one, two, self._kind))
        order = {node.path: place for place, node in enumerate(self.before.graph.modules)}
        for group in sorted(groups, key=lambda pair: order[pair[0][0]]):
            mine, theirs = self._free(*group)
            if len(mine) == len(theirs) == 1:
                self._pair(mine[0], theirs[0])
                for node in self.before.below(mine[0]):
                    self._children(node.path)

    def _kind(self, side: Side, path: str) -> str:
        return side.content(path) or side.structure(path)


def _name(path: str) -> str:
    return path.rpartition(".")[2]
