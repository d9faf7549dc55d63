"""Parts of a model that are merged from the same models, and the tensors in them with equal parameters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from surgery.errors import SurgeryError
from surgery.mergekit.config import Parameters, Source
from surgery.mergekit.settings import REQUIRED, Choice, Parameter, Value, at, choices
from surgery.merging.only import is_meant


@dataclass(frozen=True)
class Named:
    """A tensor: all its paths in our model, the name of mergekit's result, and that in its sources."""

    paths: tuple[str, ...]
    result: str
    source: str


@dataclass(frozen=True)
class Region:
    """Tensors under `targets`, merged from `own`, which our model has there, and the `others`.

    `levels`: parameters that hold for all models, the first first. `blocks`: where in their list of `count`
    blocks these are, each at its depth in `depths`; a whole list, or no block at all, needs neither.
    """

    targets: str
    tensors: tuple[Named, ...]
    own: Source
    others: tuple[Source, ...]
    has_base: bool
    levels: tuple[Parameters, ...]
    path: str = ""
    count: int = 0
    blocks: tuple[int, ...] = ()
    depths: tuple[float, ...] = ()
    whole: bool = False

    def settings(self, parameters: Sequence[Parameter]) -> dict[tuple[str, str], tuple[Choice, ...]]:
        """What may be said of each parameter, by its name and, if each model has one, the model's place."""
        found: dict[tuple[str, str], tuple[Choice, ...]] = {}
        for parameter in parameters:
            models = {"shared": (None,), "each": (self.own, *self.others)}.get(parameter.scope) or (
                self.others if self.has_base else (self.own, *self.others)
            )
            for model in models:
                said: list[Choice] = []
                for level, place in self._levels(model):
                    if parameter.name in level:
                        said += choices(
                            parameter, level[parameter.name], f"{place}.{parameter.name}".lstrip(".")
                        )
                if parameter.default is not REQUIRED:
                    said.append(Choice(None, parameter.default))
                found[parameter.name, model.where if model else ""] = tuple(said)
        return found

    def _levels(self, model: Source | None) -> list[tuple[Parameters, str]]:
        own = [(model.parameters, f"{model.where}.parameters")] if model else []
        return own + [(level, "parameters") for level in self.levels]

    def over_depth(self, value: Value) -> Any:
        """A value as our schedule, which counts from the first block of the whole list to the last."""
        if not isinstance(value, tuple):
            return value
        if self.whole:
            return value if self.count != 1 else at(value, 1.0)  # mergekit has the only block at the end
        if not self.blocks:
            return at(value, 0.0)  # what lies outside the blocks is at the start, also behind them
        if len(self.blocks) == 1:
            return at(value, self.depths[0])
        here = dict(zip(self.blocks, (at(value, depth) for depth in self.depths), strict=True))
        first, last = min(here), max(here)
        return tuple(here[min(max(place, first), last)] for place in range(self.count))

    def by_block(self) -> list[Region]:
        """A region for each block."""
        found = []
        depths = self.depths or tuple(
            index / (self.count - 1) if self.count > 1 else 1.0 for index in range(self.count)
        )
        for place, depth in zip(self.blocks or tuple(range(self.count)), depths, strict=True):
            prefix = f"{self.path}.{place}."
            inside = tuple(item for item in self.tensors if item.paths[0].startswith(prefix))
            found.append(
                replace(
                    self,
                    targets=f"{self.path}[{place}]",
                    tensors=inside,
                    blocks=(place,),
                    depths=(depth,),
                    whole=False,
                )
            )
        return found


@dataclass(frozen=True)
class Cell:
    """Tensors of a region for which every parameter has one value."""

    region: Region
    only: str
    values: Mapping[tuple[str, str], Value]

    @property
    def targets(self) -> str:
        """The selector of the modules."""
        return self.region.targets

    @property
    def has_base(self) -> bool:
        """Whether our model is the base, and not one of those that are merged."""
        return self.region.has_base

    @property
    def parents(self) -> tuple[str, ...]:
        """The folders of the other models."""
        return tuple(source.model for source in self.region.others)

    @cached_property
    def fields(self) -> dict[str, Any]:
        """What every merge says."""
        return {"targets": self.targets, "parents": self.parents, "only": self.only}

    def shared(self, name: str) -> Any:
        """The value for all models."""
        return self.region.over_depth(self.values[name, ""])

    def each(self, name: str) -> tuple[Any, ...]:
        """Those of our model and the others."""
        return self._of(name, (self.region.own, *self.region.others))

    def others(self, name: str) -> tuple[Any, ...]:
        """Those of all models but the base; our model is one of them where it is no base."""
        return self._of(name, self.region.others) if self.has_base else self.each(name)

    def _of(self, name: str, sources: tuple[Source, ...]) -> tuple[Any, ...]:
        return tuple(self.region.over_depth(self.values[name, source.where]) for source in sources)


def cells(region: Region, parameters: Sequence[Parameter], method: str) -> list[Cell]:
    """The tensors of the region by the values of their parameters; SurgeryError where one has none."""
    settings = region.settings(parameters)
    steady = {parameter.name for parameter in parameters if parameter.steady}
    if (region.blocks or region.whole) and len(region.blocks) != 1:
        goes = [
            name for (name, _), said in settings.items() for choice in said if isinstance(choice.value, tuple)
        ]
        if steady.intersection(goes):
            if "," in region.targets:
                raise SurgeryError(
                    "goes over depth, and there are several lists of blocks", path=f"parameters.{goes[0]}"
                )
            return [cell for block in region.by_block() for cell in cells(block, parameters, method)]
    words = words_of(settings)
    groups: dict[tuple[Value, ...], list[Named]] = {}
    for tensor in region.tensors:
        values = tuple(_value(name, said, tensor, method) for name, said in settings.items())
        groups.setdefault(values, []).append(tensor)
    return [
        Cell(region, only, dict(zip(settings, values, strict=True)))
        for values, group in groups.items()
        for only in _selected(group, region.tensors, words)
    ]


def _goes(choice: Choice) -> bool:
    return isinstance(choice.value, tuple)


def words_of(settings: Mapping[tuple[str, str], tuple[Choice, ...]]) -> list[str]:
    """The words of all filters, each once."""
    found = [choice.word for said in settings.values() for choice in said if choice.word is not None]
    return list(dict.fromkeys(found))


def any_over_depth(settings: Mapping[tuple[str, str], tuple[Choice, ...]]) -> bool:
    """Whether a parameter has values from the first block to the last."""
    return any(_goes(choice) for said in settings.values() for choice in said)


def _value(key: tuple[str, str], said: tuple[Choice, ...], tensor: Named, method: str) -> Value:
    name, where = key
    called = tensor.source if where else tensor.result
    for choice in said:
        if choice.word is None or choice.word in called:
            return choice.value
    raise SurgeryError(
        f"{method} needs a value of `{name}` for every tensor",
        path=f"parameters.{name}",
        got=f"none for {called}" + (f" of {where}" if where else ""),
        hint=f"a last `- value: …` without a filter, or `{name}` in the `parameters` of the file",
    )


def _selected(group: list[Named], everything: Sequence[Named], words: list[str]) -> list[str]:
    """What `only` says to pick these tensors of all, in as few texts as it takes."""
    literals = _shortest(group, everything, words)
    if literals is not None:
        return [literals]
    parts: dict[tuple[bool, ...], list[Named]] = {}
    for tensor in group:
        parts.setdefault(tuple(word in tensor.result for word in words), []).append(tensor)
    found = []
    for part in parts.values():
        text = _shortest(part, everything, words) if len(parts) > 1 else None
        if text is None:
            raise SurgeryError(
                "these filters cannot be told apart by words in the paths of our model",
                path=part[0].paths[0],
                got=", ".join(words),
                hint="filters without the numbers of blocks",
            )
        found.append(text)
    return found


def _shortest(group: list[Named], everything: Sequence[Named], words: list[str]) -> str | None:
    """Words in all of the group and, with `!`, in none of it, as few as pick it and nothing else."""
    wanted = {tensor.paths for tensor in group}

    def picks(literals: list[str]) -> bool:
        text = " ".join(literals)
        return {tensor.paths for tensor in everything if is_meant(tensor.paths, text)} == wanted

    here = [word for word in words if any(word in tensor.result for tensor in everything)]
    literals = [word for word in here if all(is_meant(tensor.paths, word) for tensor in group)]
    literals += [f"!{word}" for word in here if all(is_meant(tensor.paths, f"!{word}") for tensor in group)]
    if not picks(literals):
        return None
    for literal in reversed(literals):
        fewer = [item for item in literals if item != literal]
        if picks(fewer):
            literals = fewer
    return " ".join(literals)
