"""Merge blocks with each other, or the tensors of several checkpoints."""

from __future__ import annotations

from collections.abc import Iterator

from graph.paths import is_among
from surgery.adapters.adapter import Adapter
from surgery.checkpoint.parents import refuse_statistics
from surgery.depth import by_list, without
from surgery.edits import Edit, SetTensor
from surgery.errors import SurgeryError
from surgery.fields import Found, Parent, Schedule, Targets, option
from surgery.lazy import Held, Recipe, recipe
from surgery.merging.depths import Depths, at
from surgery.merging.merging import Statistics, averaged, matched
from surgery.merging.shares import shares
from surgery.merging.vocabularies import Vocabulary
from surgery.merging.with_parents import WithParents
from surgery.model import Patient
from surgery.operation import operation


@operation(title="Merge", group="merge", source="linear merging: Wortsman et al. 2022, arXiv:2203.05482")
class Merge(WithParents):
    """The first block is Σ wθ of the targets, the others are gone; or each tensor is Σ wθ over checkpoints.

    Fields: `targets`: two blocks or more of one list, counted in the order of the model; or, with `parents`,
    the modules whose tensors are merged. `parents`: folders of further checkpoints, whose tensors are
    matched by the paths they would have in memory; config, tokenizer and dtype stay this model's. `weights`:
    one per block, or one for this model and one per parent, each may go over depth; divided by their sum if
    `normalize`; equal parts if not given. `only`, `statistics` and `vocabulary` as in all merges with
    parents. Sums are made in float32 or wider.
    Refused: blocks that do not fit, a tie that leads out of the blocks, tensors that one checkpoint lacks,
    shapes that differ, running statistics.
    """

    targets: Targets = option(
        help="the blocks to merge into the first, or the modules to merge with the parents'"
    )
    parents: tuple[Parent, ...] = option((), help="folders of other checkpoints")
    weights: tuple[Schedule, ...] = option(
        (), help="one weight per block, in the model's order, or per model; equal if empty"
    )
    normalize: bool = option(False, help="divide the weights by their sum")
    only: str = option("", help="with parents: only tensors whose path contains these words, none with !")
    statistics: Statistics = option(
        "refuse", help="with parents: running statistics are refused, kept, or averaged over all models"
    )
    vocabulary: Vocabulary = option(
        "same",
        help="with parents: rows of tokens are the same in all models, or matched by the tokens' texts",
    )
    tokens: Found | None = option(None, help="digests of the vocabularies that are matched")

    def keeps_structure(self) -> bool:
        return bool(self.parents)

    def plan(self, patient: Patient) -> Iterator[Edit]:
        return self._with_parents(patient) if self.parents else self._blocks(patient)

    def _shares_of_blocks(self, count: int) -> tuple[float, ...]:
        weights = tuple(weight for weight in self.weights if not isinstance(weight, tuple))
        if len(weights) < len(self.weights):
            raise SurgeryError("blocks that become one have one depth", got="a weight that goes over depth")
        if weights and len(weights) != count:
            raise _one_each(len(weights), count)
        if weights and self.normalize:
            return shares(weights, self.targets.select)
        return weights or (1 / count,) * count

    def _blocks(self, patient: Patient) -> Iterator[Edit]:
        paths = self.targets.paths
        lists = {patient.block_list(path, "merge")[0] for path in paths}
        if len(paths) < 2 or len(lists) > 1:
            raise SurgeryError(
                "merge needs two blocks or more of one list",
                path=self.targets.select,
                got=", ".join(paths),
                hint='`merge("model.layers[3:5]")`, or `parents=` for other checkpoints',
            )
        for path in paths:
            if any(isinstance(module, Adapter) for module in patient.module(path).modules()):
                raise SurgeryError(
                    "carries an adapter, and the sum of two adapters' factors is not the sum of what they do",
                    path=path,
                    hint=f'`fold("{path}")` or `detach("{path}")` first',
                )
        refuse_statistics(patient, self.targets.paths)
        weights, sites = self._shares_of_blocks(len(paths)), patient.sites()
        members = [dict(patient.own_tensors(path)) for path in paths]
        for path, tensors in zip(paths, members, strict=True):
            _fits(paths[0], members[0], path, tensors)
            for name, lazy in tensors.items():
                _inside(sites[id(lazy.parameter)], paths, f"{path}.{name}")
        sums: dict[tuple[int, ...], Recipe] = {}  # a tie inside the blocks stays one
        for name in members[0]:
            same = [member[name] for member in members]
            key = tuple(id(lazy.parameter) for lazy in same)
            sums.setdefault(key, recipe("weighted_sum", *same, weights=weights))
            yield SetTensor(f"{paths[0]}.{name}", sums[key])
        yield from without(patient, by_list(patient, paths[1:], "merge"), "merge")

    def _with_parents(self, patient: Patient) -> Iterator[Edit]:
        count = 1 + len(self.parents)
        if self.weights and len(self.weights) != count:
            raise _one_each(len(self.weights), count)
        depths = Depths(patient)
        for places, lazy, others in matched(patient, self.targets, self.parents, self.only, self.vocabulary):
            depth = depths.of(places[0])
            weights = tuple(at(weight, depth) for weight in self.weights) or (1 / count,) * count
            if self.normalize:
                weights = shares(weights, places[0])
            tensor = recipe("weighted_sum", lazy, *others, weights=weights)
            for place in places:
                yield SetTensor(place, tensor)
        yield from averaged(patient, self.targets, self.parents, self.statistics, self.vocabulary)


def _one_each(got: int, expected: int) -> SurgeryError:
    return SurgeryError("merge needs one weight each", got=f"{got} weights", expected=expected)


def _fits(first: str, mine: dict[str, Held], path: str, theirs: dict[str, Held]) -> None:
    odd = sorted(mine.keys() ^ theirs.keys())
    if odd:
        where = f"{path}.{odd[0]}" if odd[0] in theirs else f"{first}.{odd[0]}"
        raise SurgeryError("only one of the blocks has this parameter", path=where)
    for name, lazy in mine.items():
        if theirs[name].shape != lazy.shape:
            raise SurgeryError(
                "the parameters do not fit each other",
                path=f"{path}.{name}",
                got=list(theirs[name].shape),
                expected=f"{list(lazy.shape)} as {first}.{name} has",
            )


def _inside(places: list[str], paths: tuple[str, ...], at: str) -> None:
    outside = [place for place in places if not is_among(place, paths)]
    if outside:
        raise SurgeryError(
            "is tied to a path outside the merged blocks",
            path=at,
            got=outside[0],
            hint=f'`untie("{at.rpartition(".")[0]}")` first',
        )
