"""What the tensors of edited skeletons stand for: tensors of files, or recipes over such."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from torch import Tensor, nn

from surgery.checkpoint.tensors import Checkpoint
from surgery.errors import SurgeryError
from surgery.fingerprint import stored_tensors
from surgery.lazy import Alias, Held, Lazy, recipe
from surgery.stream.views import narrowed

if TYPE_CHECKING:
    from surgery.sources.opened import Opened


DEEPEST = 150
"""Functions one upon the other that make a tensor."""


class Lineage:
    """Tensors of models by what they stand for in the end, the same one for both ends of a tie."""

    def __init__(self) -> None:
        self._stands_for: dict[int, tuple[Tensor, Lazy]] = {}
        self._resolved: dict[Lazy, Lazy] = {}
        self._deep: dict[Lazy, int] = {}

    def add(self, tensors: Iterable[tuple[Tensor, Lazy]]) -> None:
        """From now on these tensors of a model stand for these lazy ones."""
        for tensor, lazy in tensors:
            if isinstance(lazy, Held) and lazy.parameter is tensor:
                continue
            self._stands_for[id(tensor)] = tensor, lazy  # held, so that no id is used twice

    def lazy(self, tensor: Tensor) -> Lazy | None:
        """What a tensor of a model stands for in the end; None for one that has values of its own."""
        if id(tensor) not in self._stands_for:
            return None
        last = self.last(self._stands_for[id(tensor)][1])
        return None if isinstance(last, Held) else last

    def last(self, lazy: Lazy) -> Lazy:
        """What is at the end of a chain of slots."""
        while isinstance(lazy, Held | Alias):
            if isinstance(lazy, Alias):
                lazy = lazy.inputs[0]
                continue
            known = self._stands_for.get(id(lazy.parameter))
            if known is None:
                break
            lazy = known[1]
        return lazy

    def resolved(self, lazy: Lazy, above: int = 0) -> Lazy:
        """The same tensor made of what lies in files: no slot of a skeleton is left in it.

        `above` is how many functions are made from it that are asked for. SurgeryError where they are too
        many to be computed together.
        """
        last = self.last(lazy)
        if last not in self._resolved:
            self._refuse_deep(above)
            inputs = tuple(self.resolved(item, above + 1) for item in last.inputs)
            self._deep[last] = 1 + max((self._deep[self.last(item)] for item in last.inputs), default=0)
            self._refuse_deep(self._deep[last])
            same = all(one is other for one, other in zip(inputs, last.inputs, strict=True))
            self._resolved[last] = narrowed(last if same else replace(last, inputs=inputs))
        return self._resolved[last]

    def _refuse_deep(self, deep: int) -> None:
        if deep > DEEPEST:
            raise SurgeryError(
                "so many steps change one tensor that it cannot be computed piece by piece",
                expected=f"at most {DEEPEST} functions one upon the other",
                hint="saving after some of the steps, and a replay of the others on that; or one in memory",
            )


def stored_weights(model: nn.Module, checkpoint: Checkpoint) -> list[tuple[Tensor, Lazy]]:
    """For each tensor of a skeleton that a checkpoint holds, what it is there; in the skeleton's dtype.

    SurgeryError where the checkpoint lacks a parameter, or has it in another shape.
    """
    converted = checkpoint.for_model(model).converted or {}
    found: dict[int, tuple[Tensor, Lazy]] = {}
    lacking: dict[int, str] = {}
    for name, tensor in stored_tensors(model):
        lazy = converted.get(name)
        if lazy is None:
            lacking.setdefault(id(tensor), name)
        elif id(tensor) not in found:
            if lazy.shape != tuple(tensor.shape):
                raise SurgeryError(
                    "does not fit the model",
                    path=f"{checkpoint.folder}: {name}",
                    got=list(lazy.shape),
                    expected=list(tensor.shape),
                )
            if lazy.dtype != tensor.dtype:
                to = str(tensor.dtype).removeprefix("torch.")
                lazy = recipe("cast", lazy, dtype=tensor.dtype, to=to)
            found[id(tensor)] = tensor, lazy
    for name in (name for key, name in lacking.items() if key not in found):
        raise SurgeryError("lacks a tensor of the model", path=str(checkpoint.folder), expected=name)
    return list(found.values())


def checkpoint_of(opened: Opened) -> Checkpoint:
    """Where the weights of a skeleton lie. SurgeryError where they lie nowhere that can be read."""
    source = opened.folder or (Path(opened.source) if opened.source else None)
    if source is None or not (source.is_dir() or source.suffix == ".safetensors"):
        raise SurgeryError(
            "a model opened without weights has none to measure or save",
            path=opened.name,
            hint="opening the folder that its weights lie in",
        )
    return Checkpoint.at(source)
