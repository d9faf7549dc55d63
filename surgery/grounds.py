"""What a session is measured on and with: the user's data, the evaluator and its baseline."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import torch
from torch import nn

from graph.tree import walk
from surgery.calibration.kept import Kept
from surgery.errors import SurgeryError

if TYPE_CHECKING:
    from surgery.evaluate import Evaluator, Examples
    from surgery.history import History
    from surgery.sources import Opened


class Grounds(ABC):
    """What the measures of a session stand on; `lock` is held while the model is looked at or changed."""

    history: History
    _origins: WeakKeyDictionary[nn.Module, str]

    def __init__(self, opened: Opened) -> None:
        self.opened = opened
        self.lock = threading.RLock()
        self._data: Sequence[Any] | None = None
        self._evaluator: Evaluator | None = None
        self._evaluator_for = (0, "")
        self.calibrations = Kept()
        """What measures collected of inputs lately."""

    @property
    @abstractmethod
    def model(self) -> nn.Module:
        """The edited module, ready to run."""

    @property
    @abstractmethod
    def is_skeleton(self) -> bool:
        """Whether the model was opened without its weights."""

    @property
    def origins(self) -> dict[str, str]:
        """Where the modules come from, by their paths now: the path in the opened model, or a step."""
        with self.lock:
            found = ((path, self._origins.get(module)) for path, module in walk(self.model))
            return {path: origin for path, origin in found if origin is not None}

    @property
    def data(self) -> Sequence[Any]:
        """Batches that measures run on, each as the model takes it: a tensor, a tuple, a mapping.

        Set it to your own: `s.data = [images]`. Without, those that came with the model, for one that reads
        text Python's own manual without what evaluations hold out, else none.
        """
        if self._data is None:
            from surgery.calibration.default import default_data

            self._data = default_data(self.opened)
        return self._data

    @data.setter
    def data(self, batches: Sequence[Any]) -> None:
        if isinstance(batches, torch.Tensor | Mapping) or not isinstance(batches, Sequence):
            raise SurgeryError(
                "data are batches, each as the model takes it",
                got=type(batches).__name__,
                expected="a list",
                hint="`s.data = [batch]`",
            )
        self._data = batches

    def evaluator(self, examples: Examples | None = None, device: str = "auto") -> Evaluator:
        """The evaluator that compares with the opened model on these examples, by default the bundled ones.

        It is kept while examples and device stay the same, so that its baseline is measured once.
        """
        from surgery.evaluate import Evaluator

        if self.is_skeleton:
            raise SurgeryError("a model opened without weights cannot be evaluated")
        if self._evaluator is None or self._evaluator_for != (id(examples), device):
            self._evaluator = Evaluator(self.opened.model, examples=self._shown(examples), device=device)
            self._evaluator_for = (id(examples), device)
        return self._evaluator

    @property
    def seeds(self) -> tuple[int, int] | None:
        """Of the order of the examples and of the bootstrap, in the last evaluator; else None."""
        found = self._evaluator
        return None if found is None else (found.examples.seed, found.seed)

    def _shown(self, examples: Examples | None) -> Examples:
        """What the model is shown: these, or what is at hand for a model of its kind."""
        from surgery.evaluate import default_examples

        opened = self.opened
        return examples or default_examples(
            opened.model, opened.tokenizer, inputs=opened.inputs, held_out=opened.held_out
        )

    def touch(self) -> None:
        """Says that weights were changed in a way that torch keeps no count of (`p.data.mul_`, numpy).

        What was computed of them is forgotten. Other writes are noticed without it.
        """
        self.calibrations.forget()
        if self._evaluator is not None:
            self._evaluator.touch()
