"""What a session can be asked to measure: the cost of its edits, of edits to come, its speed, its kin."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from surgery.calibration.telling import listening
from surgery.errors import SurgeryError
from surgery.grounds import Grounds
from surgery.model import Patient, private_shell
from surgery.operation import Operation
from surgery.whereabouts import recalling

if TYPE_CHECKING:
    from surgery.charts import Chart
    from surgery.evaluate import Examples, Report
    from surgery.evaluate.bench import Asked
    from surgery.evaluate.evaluator import Progress
    from surgery.evaluate.speed import SpeedReport
    from surgery.evaluate.sweep import SweepReport
    from surgery.history import State
    from surgery.merging.kinship import Kinship
    from surgery.merging.vocabularies import Vocabulary
    from surgery.session import Session


class Measuring(Grounds):
    """The part of a session that measures; what is found of a state is kept with it in the history."""

    def measured(
        self,
        operation: Operation,
        *,
        progress: Progress | None = None,
        stop: threading.Event | None = None,
    ) -> Operation:
        """The operation with what it has to know of values measured on the current state and `data`.

        `apply` takes it then, and needs no data: `s.apply(s.measured(step, progress=print))`. Nothing else is
        changed; one that has nothing to measure comes back as it is. `progress(fraction, label)` is called
        on the way. Raises SurgeryError where it is refused, and Stopped once `stop` is set.
        """
        if not operation.awaits_measure:
            return operation
        if self.is_skeleton:
            raise SurgeryError(
                f"{operation.name} measures values, and this model was opened without weights",
                hint="a script made where the weights are: it carries what was measured",
            )
        patient = self._apart()
        with recalling(self.history), listening(progress, stop, self.calibrations):
            return operation.with_measure(patient, self.data)

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
        state, report = self._beside(budget_s, examples, device, tasks, progress, stop)
        state.report = report
        self.history.watchers.tell()
        return report

    def layers(
        self,
        budget_s: float = 2.0,
        examples: Examples | None = None,
        device: str = "auto",
        *,
        progress: Progress | None = None,
        stop: threading.Event | None = None,
    ) -> Report:
        """How near each block's output is to what that block gave before surgery: a cosine per block.

        Figures are named by what the block was called in the opened model. What `evaluate` found of the state
        stays beside it. Arguments and errors as there.
        """
        state, report = self._beside(budget_s, examples, device, ["layers"], progress, stop)
        state.layers = report
        self.history.watchers.tell()
        return report

    def chart(self, operation: str | Operation, *arguments: Any, **fields: Any) -> Chart | None:
        """What helps to choose the values of an edit: `s.chart("sparsify", "**", ratio=0.5)`; none is made.

        Arguments as in the operation's own method. Shown in a notebook, and written by `.write("chart.svg")`.
        None for an operation that has no chart; SurgeryError for values that it refuses, and without weights.
        """
        from surgery.registry import operation_named

        step = (
            operation_named(operation).of(*arguments, **fields) if isinstance(operation, str) else operation
        )
        if type(step).chart is Operation.chart:
            return None
        if self.is_skeleton:
            raise SurgeryError(
                "a chart reads weights, and this model was opened without them", path=step.name
            )
        patient = self._apart()
        with listening(kept=self.calibrations):  # another value of a field needs no other inputs
            return step.resolved(patient).chart(patient, self.data)

    def suiting(self, step: Operation) -> Mapping[str, Mapping[str, str]]:
        """Of the step's fields with choices those that suit its targets, with a word on each or none."""
        if type(step).suiting is Operation.suiting:
            return {}
        patient = self._apart()
        return step.resolved(patient).suiting(patient)

    def _apart(self) -> Patient:
        """The current state on a shell of its own: the session is held only as long as that takes."""
        with self.lock:
            model, tracing = private_shell(self.model), cast("Session", self).tracing
        return Patient(model, tracing.inputs, self.opened.tokenizer)

    def _beside(
        self,
        budget_s: float,
        examples: Examples | None,
        device: str,
        tasks: Asked,
        progress: Progress | None,
        stop: threading.Event | None,
    ) -> tuple[State, Report]:
        """The current state and what is measured of it; an edit that is being made is waited for."""
        if self.is_skeleton:
            from surgery.measuring_streamed import evaluated

            session, shown = cast("Session", self), self._shown(examples)
            return evaluated(session, shown, device, budget_s, tasks, progress, stop)
        with self.lock:
            state, model, origins = self.history.current, private_shell(self.model), self.origins
        evaluator = self.evaluator(examples, device)
        return state, evaluator.evaluate(
            model, budget_s, progress=progress, stop=stop, tasks=tasks, origins=origins
        )

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

        state, report = swept(
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
        state.sweep = report
        self.history.watchers.tell()
        return report

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
            state, model = self.history.current, private_shell(self.model)
        state.speed = measure_speed(
            self.opened.model,
            model,
            self.opened.inputs,
            budget_s=budget_s,
            device=device,
            prompt=prompt,
            batch=batch,
            stop=stop,
        )
        self.history.watchers.tell()
        return state.speed
