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
from surgery.errors import SurgeryError
from surgery.model import private_shell

if TYPE_CHECKING:
    from surgery.evaluate import Evaluator, Examples, Report
    from surgery.evaluate.evaluator import Asked
    from surgery.history import History
    from surgery.sources import Opened


class Measuring(ABC):
    """The part of a session that measures; `lock` is held while the model is looked at or changed."""

    history: History
    _origins: WeakKeyDictionary[nn.Module, str]

    def __init__(self, opened: Opened) -> None:
        self.opened = opened
        self.lock = threading.RLock()
        self._data: Sequence[Any] | None = None
        self._evaluator: Evaluator | None = None
        self._evaluator_for = (0, "")

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

        Set it to your own: `s.data = [images]`. Without, those that came with the model; mostly none.
        """
        if self._data is None:
            self._data = self.opened.data() if self.opened.data else ()
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
        from surgery.evaluate import Evaluator, default_examples

        if self.is_skeleton:
            raise SurgeryError("a model opened without weights cannot be evaluated")
        if self._evaluator is None or self._evaluator_for != (id(examples), device):
            opened = self.opened
            chosen = examples or default_examples(
                opened.model, opened.tokenizer, inputs=opened.inputs, held_out=opened.held_out
            )
            self._evaluator = Evaluator(opened.model, examples=chosen, device=device)
            self._evaluator_for = (id(examples), device)
        return self._evaluator

    def evaluate(
        self,
        budget_s: float = 2.0,
        examples: Examples | None = None,
        device: str = "auto",
        tasks: Asked = None,
    ) -> Report:
        """What the edits cost beside the opened model, with intervals, within about `budget_s` seconds.

        `device`: `auto` is CUDA where there is one, then MPS, then the CPU. `tasks`: names such as
        `"accuracy"` or `"generation:tokens=32"`, tasks of `surgery.evaluate`, or functions of a model and a
        batch that give a number per example; by default fidelity, perplexity where text can be predicted,
        and accuracy where there are labels. Raises SurgeryError for what cannot be measured.
        """
        with self.lock:
            state, model, origins = self.history.current, private_shell(self.model), self.origins
        evaluator = self.evaluator(examples, device)
        state.report = evaluator.evaluate(model, budget_s=budget_s, tasks=tasks, origins=origins)
        return state.report
