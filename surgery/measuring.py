"""What a session is measured on and with: the user's data, the evaluator and its baseline."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast
from weakref import WeakKeyDictionary

import torch
from torch import nn

from graph.tree import walk
from surgery.errors import SurgeryError
from surgery.model import private_shell

if TYPE_CHECKING:
    from surgery.evaluate import Evaluator, Examples, Report
    from surgery.evaluate.bench import Asked
    from surgery.evaluate.evaluator import Progress
    from surgery.evaluate.speed import SpeedReport
    from surgery.evaluate.sweep import SweepReport
    from surgery.history import History
    from surgery.merging.kinship import Kinship
    from surgery.merging.vocabularies import Vocabulary
    from surgery.session import Session
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

    def kinship(
        self,
        parents: str | Sequence[str],
        targets: str = "",
        only: str = "",
        progress: Progress | None = None,
        vocabulary: Vocabulary = "same",
    ) -> Kinship:
        """How far other checkpoints moved from this model, and how they agree: what to know before a merge.

        `parents`: folders, adapters, `hf://` places, or `name=place`; `targets` and `only` choose tensors as
        in merges, and `vocabulary` says how rows of tokens are compared. Printed it is a table, in a notebook
        a heat map. SurgeryError for parents that do not fit.
        """
        from surgery.coercion import parents_of
        from surgery.merging.kinship import kinship

        return kinship(cast("Session", self), parents_of(parents), targets, only, progress, vocabulary)

    def evaluate(
        self,
        budget_s: float = 2.0,
        examples: Examples | None = None,
        device: str = "auto",
        tasks: Asked = None,
        *,
        progress: Progress | None = None,
        stop: threading.Event | None = None,
    ) -> Report:
        """What the edits cost beside the opened model, with intervals, within about `budget_s` seconds.

        `device`: `auto` is CUDA where there is one, then MPS, then the CPU. `tasks`: names such as
        `"accuracy"` or `"generation:tokens=32"`, tasks of `surgery.evaluate`, or functions of a model and a
        batch that give a number per example; by default fidelity, perplexity where text can be predicted,
        and accuracy where there are labels. `progress(fraction, label)` is called after each batch. Raises
        SurgeryError for what cannot be measured, and Stopped once `stop` is set.

        Of a model opened with `skeleton=True` from a folder that holds its weights, these are read while they
        are needed: it may be larger than the memory.
        """
        if self.is_skeleton:
            from surgery.measuring_streamed import evaluated

            state = self.history.current
            state.report = evaluated(
                cast("Session", self), self._shown(examples), device, budget_s, tasks, progress, stop
            )
            self.history.watchers.tell()
            return state.report
        with self.lock:
            state, model, origins = self.history.current, private_shell(self.model), self.origins
        evaluator = self.evaluator(examples, device)
        state.report = evaluator.evaluate(
            model, budget_s, progress=progress, stop=stop, tasks=tasks, origins=origins
        )
        self.history.watchers.tell()
        return state.report

    def sweep(
        self,
        name: str,
        select: str,
        *,
        of: int = 1,
        each: bool = False,
        budget_s: float = 30.0,
        examples: Examples | None = None,
        device: str = "auto",
        tasks: Asked = None,
        exact: bool = False,
        ray: bool | str = False,
        resume: str | Path | None = None,
        progress: Progress | None = None,
        stop: threading.Event | None = None,
        **fields: Any,
    ) -> SweepReport:
        """What each of many edits would cost: `s.sweep("remove", "model.layers[*]")`. None of them is made.

        One candidate per selected module, with the `fields` of the operation called `name`; `of` takes as
        many neighbours at a time; an operation that needs a second module, such as `tie`, is tried on every
        neighbouring pair; with `each`, `narrow` leaves out every head, neuron or expert in turn. All are
        measured beside the model as it is now, on the same examples, as many as about `budget_s` seconds
        allow, two batches at the least. Candidates share a pass where a probe proves that right; `exact`
        runs each by itself.

        `ray` spreads them over workers of Ray, each by itself, with the figures of `exact`: True takes the
        cluster that you have initialised, else that of RAY_ADDRESS, else starts one on this machine for the
        sweep; a text is the address of one, or `"auto"`. A worker has as many threads as this process, since
        bits hang on that, and claims so many CPUs: `torch.set_num_threads(1)` before makes one per CPU. It
        gets the model as it is now once, pickled, with inputs, tokenizer, data, examples and tasks; weights
        are read only, one copy for all workers of a machine.

        `resume` names a file from which a sweep that was stopped goes on. Raises SurgeryError where there is
        nothing to sweep or to measure. The studio colours its blocks by the last.

        Of a model opened with `skeleton=True` from a folder that holds its weights, these are read while they
        are needed, once for all candidates: it may be larger than the memory.
        """
        from surgery.sweeping import swept

        state = self.history.current
        state.sweep = swept(
            cast("Session", self),
            name,
            select,
            of=of,
            each=each,
            examples=self._shown(examples) if self.is_skeleton else self.evaluator(examples, device).examples,
            device=device,
            budget_s=budget_s,
            tasks=tasks,
            exact=exact,
            ray=ray,
            resume=None if resume is None else Path(resume),
            progress=progress,
            stop=stop,
            fields=fields,
        )
        self.history.watchers.tell()
        return state.sweep

    def speed(
        self,
        budget_s: float = 4.0,
        device: str = "auto",
        *,
        prompt: int = 128,
        batch: int = 1,
        stop: threading.Event | None = None,
    ) -> SpeedReport:
        """Latency, peak memory and size beside the opened model, within about `budget_s` seconds.

        Models that generate are timed on `batch` prompts of `prompt` tokens and on the tokens after them,
        others on the example inputs. Raises Stopped once `stop` is set.
        """
        from surgery.evaluate.speed import measure_speed

        if self.is_skeleton:
            raise SurgeryError("a model opened without weights cannot be timed")
        with self.lock:
            model = private_shell(self.model)
        inputs = self.opened.inputs
        return measure_speed(
            self.opened.model,
            model,
            inputs,
            budget_s=budget_s,
            device=device,
            prompt=prompt,
            batch=batch,
            stop=stop,
        )

    def touch(self) -> None:
        """Says that weights were changed in a way that torch keeps no count of (`p.data.mul_`, numpy).

        What was computed of them is forgotten. Other writes are noticed without it.
        """
        if self._evaluator is not None:
            self._evaluator.touch()
