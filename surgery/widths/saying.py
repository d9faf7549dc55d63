"""What a config says of the width of residual streams: asked of the model that transformers makes of it."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import Any

from torch import nn

from surgery.edits import Edit, SetAttribute, SetConfig
from surgery.errors import SurgeryError
from surgery.fingerprint import scalars
from surgery.model import Patient
from surgery.widths.part import Cut, Part
from surgery.widths.resizing import rated
from surgery.widths.streams import said_of

Changes = dict[str, Any]
_ALSO = ("word_embed_proj_dim", "embedding_size")
"""What some configs say beside the width, of how wide embeddings are."""


def said_anew(patient: Patient, left: dict[Part, int]) -> Iterator[Edit]:
    """The config's figures and what modules repeat of them, if a model made of them has these widths.

    Else the config stays, and the folder needs `surgery.load`.
    """
    cut = [part for part in left if part.made_anew]
    widths = {(name, left[part]) for part in cut for name in part.made_anew}
    if patient.model_type is None or len(widths) != 1:
        return
    name, after = next(iter(widths))
    before = getattr(patient.config, name, None)
    if before is None:
        return
    from surgery.checkpoint.proof import from_own_config  # which knows of steps, and so of operations

    try:
        old = from_own_config(patient.root)
    except SurgeryError:  # a class of one's own
        return
    planned = _Planned(patient, cut, left)
    for changes in _candidates(patient, {name: after}, before, planned):
        made = _made(patient, changes)
        if made is not None and planned.is_had_by(made, old):
            yield from (SetConfig(key, value) for key, value in changes.items())
            yield from planned.repeated(made, old)
            return


def _candidates(patient: Patient, width: Changes, before: int, planned: _Planned) -> Iterator[Changes]:
    """What could be said, the least first: the width, that of a head which it implied, an embedding's."""
    config = patient.config
    heads = getattr(config, "num_attention_heads", None)
    head: list[Changes] = []
    if isinstance(heads, int) and not getattr(config, "head_dim", None) and before % heads == 0:
        head = [{"head_dim": before // heads}]
    also = {name: width["hidden_size"] for name in _ALSO if getattr(config, name, None) == before}
    for one, other in product(({}, *head), ({}, *([also] if also else []))):
        yield width | one | other | planned.rates()


def _made(patient: Patient, changes: Changes) -> nn.Module | None:
    """What transformers makes of the config with these changes, on meta; None where it takes none of them."""
    from surgery.checkpoint.structure import dtype_of, from_config

    config: Any = patient.config
    names = {getattr(config, "attribute_map", {}).get(name, name): value for name, value in changes.items()}
    settings = config.to_dict() | names | {"dtype": dtype_of(patient.root)}
    try:
        return from_config(type(patient.root).__name__, settings)
    except Exception:  # its validation raises what it likes
        return None


class _Planned:
    """What the model will be once the parts are cut."""

    def __init__(self, patient: Patient, cut: list[Part], left: dict[Part, int]) -> None:
        self.patient, self.cut, self.left = patient, cut, left
        self.sizes: dict[tuple[str, int], int] = {}
        self.figures: dict[tuple[str, str], Any] = {}
        for part in cut:
            fewer = part.count - left[part]
            for item in part.cuts:
                key = (item.path, item.dim)
                size = self.sizes.get(key) or _size(patient, item)
                self.sizes[key] = size - fewer * sum(size for _, size in item.sections)
            for follow in part.follows:
                self.figures[follow.path, follow.name] = None  # as wide as the tensors, which are compared
            for rate in part.rates:
                value = getattr(patient.module(rate.path), rate.name)
                self.figures[rate.path, rate.name] = rated(value, part.count, left[part])
            for path in part.roots:
                self.figures[path, "scalar_embed_scale"] = left[part] ** 0.5

    def rates(self) -> Changes:
        """What the config says of rates that are others then."""
        found: Changes = {}
        for part in self.cut:
            for rate in part.rates:
                before = getattr(self.patient.module(rate.path), rate.name)
                name = said_of(self.patient, before, part.count)
                if name is not None:
                    found[name] = rated(before, part.count, self.left[part])
        return found

    def is_had_by(self, made: nn.Module, old: nn.Module) -> bool:
        """Whether `made` differs from `old` as the model will from what it is, and in no rate beside."""
        before = old.state_dict()
        for path, tensor in made.state_dict().items():
            if path not in before:
                return False
            shape = [self.sizes.get((path, dim), size) for dim, size in enumerate(before[path].shape)]
            if list(tensor.shape) != shape:
                return False
        for path, name, value in _differing(made, old):
            planned = self.figures.get((path, name))
            if planned is not None and planned != value:
                return False
            if planned is None and not isinstance(value, int):
                return False
        return self._sees_all_rates(made)

    def _sees_all_rates(self, made: nn.Module) -> bool:
        return all(
            value is None or getattr(made.get_submodule(path), name) == value
            for (path, name), value in self.figures.items()
        )

    def repeated(self, made: nn.Module, old: nn.Module) -> Iterator[Edit]:
        """The widths that modules repeat."""
        for path, name, value in _differing(made, old):
            if (path, name) not in self.figures:
                before = getattr(old.get_submodule(path), name)
                if self.patient.module(path).__dict__.get(name) == before:
                    yield SetAttribute(path, name, value)


def _size(patient: Patient, cut: Cut) -> int:
    tensor = patient.buffer(cut.path) or patient.tensor(cut.path)
    return tensor.shape[cut.dim]


def _differing(made: nn.Module, old: nn.Module) -> Iterator[tuple[str, str, Any]]:
    """(path, name, value) of the figures of modules that differ from those of `old`."""
    before = dict(old.named_modules(remove_duplicate=False))
    for path, module in made.named_modules(remove_duplicate=False):
        known = scalars(before[path]) if path in before else {}
        for name, value in scalars(module).items():
            if known.get(name) != value:
                yield path, name, value
