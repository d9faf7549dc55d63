"""What a streamed save would write, tensor by tensor, before anything is read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import nn

from surgery.checkpoint.names import held
from surgery.fingerprint import stored_tensors
from surgery.lazy import Alias, Held, Known, Lazy, Recipe, Reduction, Stored
from surgery.reductions import passes_of
from surgery.stream.layout import Shard, size_of
from surgery.stream.lineage import Lineage
from surgery.stream.tiles import room

_NAMED, _DEEP = 4, 4
"""Inputs of a function that a line names, and functions of functions."""


@dataclass(frozen=True)
class Written:
    """A tensor that would be written to `file`, and where it comes `source` in words.

    `read_bytes` are those of the tensors in files it is made from, `memory_bytes` what it takes meanwhile.
    """

    name: str
    file: str
    shape: tuple[int, ...]
    dtype: str
    source: str
    read_bytes: int
    size_bytes: int
    memory_bytes: int


@dataclass(frozen=True)
class Outlook:
    """All that would be written: the tensors in the order of their files, which have these sizes in bytes.

    `further_bytes` are read once more, for the fingerprints: of what is not written as it lies in memory.
    """

    tensors: tuple[Written, ...]
    files: dict[str, int]
    further_bytes: int

    @property
    def read_bytes(self) -> int:
        """What would be read to make the tensors."""
        return sum(tensor.read_bytes for tensor in self.tensors)

    @property
    def written_bytes(self) -> int:
        """What would be written, headers included."""
        return sum(self.files.values())

    @property
    def largest(self) -> Written | None:
        """The tensor that takes the most memory while it is made."""
        return max(self.tensors, key=lambda tensor: tensor.memory_bytes, default=None)


def outlook(shards: Sequence[Shard], lineage: Lineage, models: Sequence[nn.Module]) -> Outlook:
    """What these files come to; `models` are those a save makes fingerprints of."""
    made: set[Lazy] = set()
    tensors = tuple(
        Written(
            span.name,
            shard.file,
            span.lazy.shape,
            str(span.lazy.dtype).removeprefix("torch."),
            described(span.lazy),
            _read(span.lazy, made),
            size_of(span.lazy),
            room(span.lazy),
        )
        for shard in shards
        for span in shard.spans
    )
    hashed = {span.lazy for shard in shards for span in shard.spans}
    further = 0
    for model in models:
        for _, tensor in stored_tensors(model):
            lazy = lineage.resolved(held(tensor))
            if lazy not in hashed:
                hashed.add(lazy)
                further += _read(lazy, made)
    return Outlook(tensors, {shard.file: shard.size_bytes for shard in shards}, further)


def described(lazy: Lazy, deep: int = _DEEP) -> str:
    """Where a tensor comes from: `folder/file: name`, or a function over such."""
    if isinstance(lazy, Stored):
        return f"{lazy.file.parent.name}/{lazy.file.name}: {lazy.name}"
    if isinstance(lazy, Alias):
        return described(lazy.inputs[0], deep)
    if isinstance(lazy, Known):
        return "what is known"
    if isinstance(lazy, Held):
        return "the model's class"
    assert isinstance(lazy, Recipe | Reduction)
    if not deep:
        return f"{lazy.function}(…)"
    named = [described(item, deep - 1) for item in lazy.inputs[:_NAMED]]
    if more := len(lazy.inputs) - len(named):
        named.append(f"{more} more")
    return f"{lazy.function}({', '.join(named)})"


def _read(lazy: Lazy, made: set[Lazy]) -> int:
    """Bytes read for a tensor; what a reduction needs counts for the first that it is `made` for."""
    seen, waiting, size = set[Lazy](), [lazy], 0
    while waiting:
        node = waiting.pop()
        if node in seen or node in made:
            continue
        seen.add(node)
        if isinstance(node, Stored):
            size += size_of(node)
        elif isinstance(node, Reduction):  # of its own inputs nothing is left for others
            made.add(node)
            size += passes_of(node) * sum(_read(item, made) for item in node.inputs)
        else:
            waiting += node.inputs
    return size
