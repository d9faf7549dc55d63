"""Merge blocks with each other, or the tensors of several checkpoints."""

from __future__ import annotations

from collections.abc import Iterator

from graph.paths import is_among
from surgery.adapters.lora import LoraLinear
from surgery.checkpoint.parents import refuse_statistics
from surgery.checkpoint.tensors import Checkpoint
from surgery.depth import by_list, without
from surgery.edits import Edit, SetTensor
from surgery.errors import SurgeryError
from surgery.fields import Parent, Targets, option
from surgery.lazy import Held, Recipe, recipe
from surgery.model import Patient
from surgery.operation import Operation, operation


@operation(title="Merge", group="merge", source="linear merging: Wortsman et al. 2022, arXiv:2203.05482")
class Merge(Operation):
    """The first block is Σ wθ of the targets, the others are gone; or each tensor is Σ wθ over checkpoints.

    Fields: `targets`: two blocks or more of one list, counted in the order of the model; or, with `parents`,
    the modules whose tensors are merged. `parents`: folders of further checkpoints, whose tensors are
    matched by the paths they would have in memory; config, tokenizer and dtype stay this model's. `weights`:
    one per block, or one for this model and one per parent; not normalised; equal parts if not given. Sums
    are made in float32 or wider.
    Refused: blocks that do not fit, a tie that leads out of the blocks, tensors that one checkpoint lacks,
    shapes that differ, running statistics.
    """

    targets: Targets = option(
        help="the blocks to merge into the first, or the modules to merge with the parents'"
    )
    parents: tuple[Parent, ...] = option((), help="folders of other checkpoints")
    weights: tuple[float, ...] = option(
        (), help="one weight per block, in the model's order, or per model; equal if empty"
    )

    def keeps_structure(self) -> bool:
        return bool(self.parents)

    def plan(self, patient: Patient) -> Iterator[Edit]:
        return self._with_parents(patient) if self.parents else self._blocks(patient)

    def _shares_of(self, count: int) -> tuple[float, ...]:
        if self.weights and len(self.weights) != count:
            raise SurgeryError(
                "merge needs one weight each", got=f"{len(self.weights)} weights", expected=count
            )
        return self.weights or tuple(1 / count for _ in range(count))

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
            if any(isinstance(module, LoraLinear) for module in patient.module(path).modules()):
                raise SurgeryError(
                    "carries an adapter, and the sum of two adapters' factors is not the sum of what they do",
                    path=path,
                    hint=f'`fold("{path}")` or `detach("{path}")` first',
                )
        refuse_statistics(patient, self.targets.paths)
        weights, sites = self._shares_of(len(paths)), patient.sites()
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
        weights = self._shares_of(1 + len(self.parents))
        checkpoints = [Checkpoint.at(parent.source).for_model(patient.root) for parent in self.parents]
        for checkpoint in checkpoints:
            _nothing_is_lost(patient, checkpoint, self.targets)
        refuse_statistics(patient, self.targets.paths)
        chosen: dict[int, Held] = {}
        for path in self.targets.paths:
            for _, lazy in patient.tensors(path):
                chosen.setdefault(id(lazy.parameter), lazy)
        sites = patient.sites()
        for key, lazy in chosen.items():
            others = [checkpoint.tensor(sites[key], lazy) for checkpoint in checkpoints]
            tensor = recipe("weighted_sum", lazy, *others, weights=weights)
            for place in sites[key]:
                yield SetTensor(place, tensor)


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


def _nothing_is_lost(patient: Patient, checkpoint: Checkpoint, targets: Targets) -> None:
    """Refuses a parent with tensors under the targets that this model does not have."""
    mine = {name for name, _ in patient.root.named_parameters(remove_duplicate=False)}
    mine |= {name for name, _ in patient.root.named_buffers(remove_duplicate=False)}
    for name in checkpoint.names():
        under = is_among(name, targets.paths)
        if under and name not in mine:
            raise SurgeryError(
                "this parent has a tensor that the model lacks",
                path=name,
                got=str(checkpoint.folder),
                hint="a parent of the same architecture and depth",
            )
