"""A mergekit file as steps of ours."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import torch
from torch import nn

from surgery.checkpoint.tensors import Checkpoint
from surgery.errors import SurgeryError
from surgery.mergekit import casting, vocabulary
from surgery.mergekit.checking import check_models, check_parameters, method_of
from surgery.mergekit.config import MergeFile, Parameters, Slice, Source
from surgery.mergekit.methods import Method
from surgery.mergekit.models import OurModel, folder, selector, tied_here_alone
from surgery.mergekit.regions import Named, Region, any_over_depth, cells, words_of
from surgery.mergekit.steps import step
from surgery.merging import WithParents
from surgery.operation import Operation
from surgery.script import Base, Script
from surgery.stream.unopened import tree_of_names


def script_of(file: MergeFile, model: str | Path | nn.Module | None) -> tuple[Script, list[str]]:
    """The steps that do what the file says to `model`, or to the model that it has as base or first.

    With them, what to know of keys that have no effect.
    """
    method = method_of(file)
    notes = check_parameters(file, method)
    references = file.references()
    first = references[0]
    places = {name: folder(name, "a model") for name in references[1:]}
    if isinstance(model, str | Path):
        places = {first: str(model), **places}
    elif model is None:
        places = {first: folder(first, "the base"), **places}
    matched = False
    if isinstance(model, nn.Module):
        vocabulary.refuse_for_module(file)
    else:
        matched = vocabulary.check(file, places)
    others = [place for name, place in places.items() if name != first]
    alone = tree_of_names(places[first], others) if first in places and not file.slices else None
    ours = OurModel(alone, places[first]) if alone else OurModel.at(places[first] if model is None else model)
    source = None if isinstance(model, nn.Module) else places[first]
    steps = Translation(file, method, first, places, ours).steps()
    if matched and file.slices:
        raise SurgeryError(
            "the vocabularies of these models differ, and blocks and rows of slices are taken as they are",
            path="tokenizer_source",
            hint="`models` in place of `slices`",
        )
    if matched:
        steps = [by_tokens(item) for item in steps]
    return Script(Base(source, "", None), tuple(steps)), notes


@dataclass
class Translation:
    """The work on one file: `first` names our model among the folders in `places`."""

    file: MergeFile
    method: Method
    first: str
    places: dict[str, str]
    ours: OurModel
    merges: list[Operation] = field(default_factory=list)
    """Steps on the blocks where they are in our model, and on what lies outside of them."""

    def steps(self) -> list[Operation]:
        """All of them in order."""
        from surgery.mergekit.slices import Stack

        untying = list(self._untied())
        whole = self._one_slice()
        stack = Stack(self) if self.file.slices and whole is None else None
        if stack is not None:
            stack.plan()
        elif whole is not None:
            self._whole(whole.sources, self.base_of(whole), whole.where, (whole.parameters,))
        else:
            self._whole(self._models(), self.base_of(None), "models")
        taken, arranged, scaled = ([], [], []) if stack is None else (stack.taken, stack.steps, stack.scaled)
        before, after = self._casts()
        late = bool(arranged) and not self.merges  # what is read from folders keeps its dtype
        return [
            *untying,
            *taken,
            *([] if late else before),
            *self.merges,
            *arranged,
            *(before if late else []),
            *scaled,
            *after,
        ]

    def added(self, region: Region) -> list[Operation]:
        """The steps that merge a region."""
        made: list[Operation] = []
        for word in words_of(region.settings(self.method.parameters)):
            self._check_word(word)
        for cell in cells(region, self.method.parameters, self.file.method):
            made += self.method.build(cell)
        return made

    def _check_word(self, word: str) -> None:
        """SurgeryError for a filter that files and memory understand in different ways."""
        for name in (*self._names_that_differ[0], *self._names_that_differ[1]):
            if word in name:
                raise SurgeryError(
                    "a filter goes by the names in files, and those of this model are others in memory",
                    path=f"parameters: filter {word!r}",
                    got=name,
                    hint="the operation itself, with `only`",
                )

    @cached_property
    def _names_that_differ(self) -> tuple[list[str], list[str]]:
        """Names of our model's tensors that are only in its files, and only in memory.

        Those of a file that was saved without the head's prefix are the same but for it.
        """
        if self.ours.folder is None or not Path(self.ours.folder).expanduser().is_dir():
            return [], []
        checkpoint = Checkpoint.at(self.ours.folder)
        stored = {*checkpoint.entries, *checkpoint.same}
        live = {path for paths in self.ours.tensors for path in paths}
        placed = checkpoint.for_model(self.ours.module).names()
        ties = {path for paths in self.ours.tensors for path in paths[1:]} | self.ours.untied
        prefix = getattr(self.ours.module, "base_model_prefix", "")
        shorter = {name for name in stored if f"{prefix}.{name}" in live}
        longer = {f"{prefix}.{name}" for name in shorter}
        return sorted(stored - live - shorter - set(placed)), sorted(live - stored - longer - ties)

    def base_of(self, item: Slice | None) -> str | None:
        """The base model of a slice, for methods that have one."""
        if self.method.base == "none":
            return None
        return (item.base_model if item else None) or self.file.base_model

    def region(
        self,
        sources: Sequence[Source],
        base: str | None,
        targets: str,
        levels: tuple[Parameters, ...] = (),
    ) -> Region:
        """A region of our model merged from these; the base, or ours, or the first is what it starts from."""
        names = [source.model for source in sources]
        start = base if base is not None else self.first if self.first in names else names[0]
        own = sources[names.index(start)]
        others = tuple(self._placed(source) for source in sources if source is not own)
        return Region(targets, (), own, others, base is not None, (*levels, *self.file.levels))

    def _placed(self, source: Source) -> Source:
        return replace(source, model=self.places[source.model]) if source.model in self.places else source

    @cached_property
    def checkpoints(self) -> dict[str, Checkpoint]:
        """Those of the other models, by reference, with names as in ours."""
        return {
            name: Checkpoint.at(place).for_model(self.ours.module)
            for name, place in self.places.items()
            if name != self.first
        }

    def _untied(self) -> Iterator[Operation]:
        """Ties of our model that another one, which gives what lies outside the blocks, does not have."""
        used = {source.model for source in self.file.models}
        for item in (*self.file.slices[:1], *self.file.slices[-1:]):
            used |= {source.model for source in item.sources}
        paths = tied_here_alone(
            self.ours, [self.checkpoints[name] for name in self.checkpoints if name in used]
        )
        if paths:
            self.ours = replace(self.ours, untied=frozenset(paths))
            yield step("untie", targets=selector(dict.fromkeys(path.rpartition(".")[0] for path in paths)))

    def _models(self) -> tuple[Source, ...]:
        """The models of the file, the base with them."""
        listed, base = self.file.models, self.file.base_model
        if base is None or base in [source.model for source in listed]:
            return listed
        return (*listed, Source(base, None, {}, "base_model"))

    def _one_slice(self) -> Slice | None:
        """The only slice, if it says no more than a list of models would: all blocks of models like ours."""
        if len(self.file.slices) != 1 or len(self.file.slices[0].sources) == 1 or len(self.ours.lists) != 1:
            return None
        item = self.file.slices[0]
        everything = (0, self.ours.patient.items(self.ours.lists[0]))
        names = [source.model for source in item.sources]
        live = {path for paths in self.ours.tensors for path in paths}
        like_ours = all(
            source.blocks == everything
            and (source.model == self.first or live.issuperset(self.checkpoints[source.model].names()))
            for source in item.sources
        )
        return item if like_ours and self.first in names else None

    def _whole(
        self, sources: tuple[Source, ...], base: str | None, where: str, levels: tuple[Parameters, ...] = ()
    ) -> None:
        check_models(self.method, sources, base, where)
        region = self.region(sources, base, "", levels)
        everything = replace(region, tensors=self.ours.named(lambda name: True))
        if not any_over_depth(everything.settings(self.method.parameters)):
            self.merges += self.added(everything)
            return
        lists = self.ours.lists or (self.ours.the_list("parameters"),)
        inside = replace(
            region,
            targets=selector(lists),
            tensors=self.ours.named(lambda name: not self.ours.outside(name)),
            path=lists[0],
            count=self.ours.patient.items(lists[0]),
            whole=True,
        )
        self.merges += self.added(inside)
        self.merges += self.added(self.around(region, self.ours.named(self.ours.outside)))

    def around(self, region: Region, tensors: tuple[Named, ...]) -> Region:
        """The region with tensors outside the blocks."""
        return replace(region, targets=selector(self.ours.modules_of(tensors)), tensors=tensors)

    def take(self, region: Region, targets: str) -> list[Operation]:
        """The steps after which ours has what the region starts from, where that is another model's."""
        name = region.own.model
        return [] if name == self.first else [step("replace", targets=targets, parents=[self.places[name]])]

    def _casts(self) -> tuple[list[Operation], list[Operation]]:
        before, after = casting.casts(self.file, self.ours, list(self.checkpoints.values()))
        return [_cast(before)] if before else [], [_cast(after)] if after else []


def by_tokens(item: Operation) -> Operation:
    """The step with rows of embeddings matched by their tokens, where it merges with others."""
    return item.by_tokens() if isinstance(item, WithParents) else item


def _cast(dtype: torch.dtype) -> Operation:
    return step("cast", targets="", dtype=str(dtype).removeprefix("torch."))
