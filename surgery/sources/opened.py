"""What opening gives."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor, nn


@dataclass(frozen=True)
class Opened:
    """A model with what came along: example inputs, tokenizer, and where it was.

    `rebuild` says how the structure is made without weights: see `surgery.checkpoint.structure`. `note` is
    what a person should know of how it was opened: weights that are not there, inputs that could not be
    made. `guessed` says that the inputs were made here and are not the caller's. `data` gives batches that
    belong to the model, each as the model takes it, where such are at hand; `held_out` images (n, …) and
    labels (n,) that it never saw, to be evaluated on. `folder` is where the model
    lies, whose tokenizer and processors a save carries along.
    """

    model: nn.Module
    name: str
    source: str | None = None
    inputs: Any = None
    tokenizer: Any = None
    rebuild: dict[str, Any] | None = None
    note: str | None = None
    guessed: bool = False
    data: Callable[[], Sequence[Any]] | None = None
    folder: Path | None = None
    held_out: Callable[[], tuple[Tensor, Tensor]] | None = None
