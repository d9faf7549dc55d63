"""What one model gives on one batch: logits place by place, and what else was asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property

from torch import Tensor

from surgery.evaluate.data.examples import Batch

CHUNK_BYTES = 64_000_000
"""Logits of one model that are float32 at a time, whatever the vocabulary; one place at the least."""


@dataclass(frozen=True)
class Wants:
    """What is to be read of an answer.

    `hidden`: what the modules give, as pairs of a name and the module's path in this model. `generation`:
    greedy tokens after the first half of each window; 0 for none.
    """

    logits: bool = False
    hidden: tuple[tuple[str, str], ...] = ()
    embedding: bool = False
    generation: int = 0

    @property
    def forward(self) -> bool:
        """Whether anything but generation is wanted."""
        return self.logits or bool(self.hidden) or self.embedding


@dataclass(frozen=True)
class Answer:
    """What a model gives on a batch.

    `shape`: positions and classes of its logits, None without; `at(places)` gives those of some positions,
    (examples, places, classes) float32. `hidden`: tensors by name, of modules
    that were called once and gave one with a row per example; `embedding` (examples, width); `tokens`
    (examples, generated) int64. `per_position`: the logits have a dimension of positions; `sliced`: they are
    made only where they are asked for.
    """

    shape: tuple[int, int] | None = None
    at: Callable[[Tensor], Tensor] = field(default=lambda places: places)
    hidden: dict[str, Tensor] = field(default_factory=dict)
    embedding: Tensor | None = None
    tokens: Tensor | None = None
    per_position: bool = False
    sliced: bool = False


@dataclass(frozen=True)
class Chunk:
    """Logits (examples, places, classes) float32 at some `places` (n,) of a batch, and the original's beside.

    What several tasks need is computed once: a pass over large vocabularies takes as long as the head.
    """

    batch: Batch
    places: Tensor
    logits: Tensor
    original: Chunk | None = None

    @cached_property
    def log_probs(self) -> Tensor:
        """The logits' log-softmax, of their shape."""
        return self.logits.log_softmax(-1)

    @cached_property
    def likeliest(self) -> Tensor:
        """The likeliest classes, (examples, places) int64."""
        return self.logits.argmax(-1)


def chunks(needed: Tensor, classes: int) -> Iterator[Tensor]:
    """The positions that any example needs, `needed` (examples, positions) bool, in chunks (places,)."""
    places = needed.any(0).nonzero()[:, 0]
    size = max(1, CHUNK_BYTES // (4 * classes * len(needed)))
    yield from places.split(size) if len(places) else ()
