"""mergekit's slices: blocks of one model or several, stacked."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from graph.paths import is_below
from surgery.errors import SurgeryError
from surgery.mergekit.checking import check_models
from surgery.mergekit.config import Slice
from surgery.mergekit.models import selector
from surgery.mergekit.regions import Named, Region, any_over_depth, words_of
from surgery.mergekit.stacking import Foreign, arranged, replaced
from surgery.mergekit.steps import step
from surgery.operation import Operation

if TYPE_CHECKING:
    from surgery.mergekit.translating import Translation


class Stack:
    """The slices of a file. Those of several models are merged where their blocks are in ours, which are then
    arranged; those of one model are arranged, and scaled in their new places.

    `taken`: steps that bring what a merge starts from. `steps`: the arrangement. `scaled`: what comes after.
    """

    def __init__(self, work: Translation) -> None:
        self.work = work
        self.path = work.ours.the_list("slices")
        self.count = work.ours.patient.items(self.path)
        self.taken: list[Operation] = []
        self.steps: list[Operation] = []
        self.scaled: list[Operation] = []
        self._merged: dict[int, Slice] = {}

    def plan(self) -> None:
        """Finds all steps."""
        place = 0
        for item in self.work.file.slices:
            check_models(self.work.method, item.sources, self.work.base_of(item), item.where)
            if len(item.sources) > 1:
                self._merge(item, place)
            first, end = item.blocks
            place += end - first
        self._arrange()
        place = 0
        for item in self.work.file.slices:
            first, end = item.blocks
            if len(item.sources) == 1:
                self._scale(item, place)
            place += end - first
        self._around()

    def _region(self, item: Slice, targets: str = "") -> Region:
        return self.work.region(item.sources, self.work.base_of(item), targets, (item.parameters,))

    def _merge(self, item: Slice, place: int) -> None:
        """Merges of several models' blocks, which have the same numbers in all of them and in ours."""
        first, end = item.blocks
        if any(source.blocks != item.blocks for source in item.sources):
            raise SurgeryError(
                "blocks of different numbers are not merged with each other here",
                path=item.where,
                got=", ".join(f"{source.model} {list(source.blocks or ())}" for source in item.sources),
                hint="one range for all sources of the slice",
            )
        if end > self.count:
            raise self._too_far(item, end)
        blocks = [number for number in range(first, end) if number not in self._merged]
        region = self._region(item, f"{self.path}[{first}:{end}]")
        if len(blocks) < end - first:
            self._check_again(item, region)
            region = replace(region, targets=", ".join(f"{self.path}[{number}]" for number in blocks))
        self._merged |= dict.fromkeys(blocks, item)
        if not blocks:
            return
        many = end - first
        region = replace(
            region,
            tensors=tuple(
                Named(tensor.paths, self._moved(tensor.source, number, place + number - first), tensor.source)
                for number in blocks
                for tensor in self._inside(number)
            ),
            path=self.path,
            count=self.count,
            blocks=tuple(blocks),
            depths=tuple((number - first) / (many - 1) if many > 1 else 1.0 for number in blocks),
        )
        if len(blocks) == self.count:
            region = replace(region, whole=True, blocks=(), depths=())
        self.taken += self.work.take(region, region.targets)
        self.work.merges += self.work.added(region)

    def _check_again(self, item: Slice, region: Region) -> None:
        """SurgeryError if the slice has blocks of another before it, and is merged in another way."""
        said = region.settings(self.work.method.parameters)
        numbered = any(char.isdigit() for word in words_of(said) for char in word)
        for number in range(*item.blocks):
            before = self._merged.get(number)
            if before is not None and (_says(before) != _says(item) or numbered or any_over_depth(said)):
                raise SurgeryError(
                    "merges a block in another way than a slice before it",
                    path=item.where,
                    got=f"block {number}",
                    expected=f"as in {before.where}",
                    hint="slices that share no merged block, or have the same values for all of them",
                )

    def _arrange(self) -> None:
        wanted: list[int] = []
        foreign: dict[int, Foreign] = {}
        for item in self.work.file.slices:
            source = item.sources[0]
            ours = len(item.sources) > 1 or source.model == self.work.first
            for number in range(*item.blocks):
                if ours and number >= self.count:
                    raise self._too_far(item, number + 1)
                if not ours or (len(item.sources) == 1 and number in self._merged):
                    foreign[len(wanted)] = self._foreign(source.model, number)
                wanted.append(min(number, self.count - 1))
        self.steps += [*arranged(self.path, self.count, wanted), *replaced(self.path, foreign)]

    def _foreign(self, model: str, number: int) -> Foreign:
        if model not in self.work.places:
            raise SurgeryError(
                "these slices read blocks of the base again, which was given as a module",
                path=model,
                hint="`model` as a folder",
            )
        return Foreign(self.work.places[model], number)

    def _scale(self, item: Slice, place: int) -> None:
        """What the method does to blocks of one model: nothing, or a factor."""
        first, end = item.blocks
        many = end - first
        blocks = tuple(range(place, place + many))
        length = sum(other.blocks[1] - other.blocks[0] for other in self.work.file.slices)
        region = replace(
            self._region(item, f"{self.path}[{place}:{place + many}]"),
            tensors=tuple(
                Named(self._all_moved(tensor.paths, number, at), self._moved(tensor.source, number, at), name)
                for at, there in zip(blocks, range(first, end), strict=True)
                for number in [min(there, self.count - 1)]
                for tensor in self._inside(number)
                for name in [self._moved(tensor.source, number, there)]
            ),
            path=self.path,
            count=length,
            blocks=blocks,
            depths=tuple(index / (many - 1) if many > 1 else 1.0 for index in range(many)),
        )
        self.scaled += self.work.added(region)

    def _around(self) -> None:
        """What lies before the blocks is as the first slice says, and what lies behind them as the last."""
        first, last = self.work.file.slices[0], self.work.file.slices[-1]
        ours = self.work.ours
        outside = ours.named(ours.outside)
        if _says(first) == _says(last):
            parts = [(first, outside)]
        else:
            before = tuple(tensor for tensor in outside if ours.before(tensor.paths[0]))
            behind = tuple(tensor for tensor in outside if tensor not in before)
            parts = [(first, before), (last, behind)]
        for item, tensors in parts:
            if not tensors:
                continue
            region = self.work.around(self._region(item), tensors)
            taken = self._taken(region)
            if len(item.sources) > 1:
                self.taken += taken
                self.work.merges += self.work.added(region)
            else:
                self.steps += taken
                self.scaled += self.work.added(region)

    def _taken(self, region: Region) -> list[Operation]:
        """What lies outside the blocks, of the model that the region starts from."""
        name = region.own.model
        if name == self.work.first:
            return []
        checkpoint, place = self.work.checkpoints[name], self.work.places[name]
        own: list[Operation] = []
        rest: list[str] = []
        for path in self.work.ours.modules_of(region.tensors):
            at = self.work.ours.head_of(checkpoint, path)
            if any(len(tensor.paths) > 1 and is_below(tensor.paths[0], path) for tensor in region.tensors):
                own.append(
                    step("merge", targets=path, parents=[place], weights=(0.0, 1.0))
                )  # a tie stays one
            elif at is not None:
                own.append(step("replace", targets=path, parents=[place], at=at))
            else:
                rest.append(path)
        return [*([step("replace", targets=selector(rest), parents=[place])] if rest else []), *own]

    def _inside(self, number: int) -> tuple[Named, ...]:
        prefix = f"{self.path}.{number}."
        return self.work.ours.named(lambda name: name.startswith(prefix))

    def _moved(self, name: str, number: int, to: int) -> str:
        """The name that a tensor of a block has in another place."""
        prefix = f"{self.path}.{number}."
        return f"{self.path}.{to}.{name.removeprefix(prefix)}" if name.startswith(prefix) else name

    def _all_moved(self, names: tuple[str, ...], number: int, to: int) -> tuple[str, ...]:
        return tuple(self._moved(name, number, to) for name in names)

    def _too_far(self, item: Slice, end: int) -> SurgeryError:
        return SurgeryError(
            "takes blocks that the model does not have",
            path=item.where,
            got=f"blocks up to {end}",
            expected=f"{self.count} blocks in {self.path}",
        )


def _says(item: Slice) -> tuple[object, ...]:
    """All but the range of a slice."""
    sources = tuple((source.model, source.parameters) for source in item.sources)
    return item.base_model, sources, item.parameters
