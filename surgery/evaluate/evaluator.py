"""Evaluates edited models against the model they came from, within a time budget."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from surgery.errors import SurgeryError
from surgery.evaluate.baseline import Baseline
from surgery.evaluate.data import Examples, vocabulary_size
from surgery.evaluate.device import free_memory, is_out_of_memory, resolve
from surgery.evaluate.fidelity import Fidelity
from surgery.evaluate.perplexity import Perplexity
from surgery.evaluate.placing import Placer, structural
from surgery.evaluate.report import Report
from surgery.evaluate.running import Runner, looks_ahead
from surgery.evaluate.stopping import checker
from surgery.evaluate.summary import mean, perplexity_change

BATCH = 8
"""Windows per batch, unless the logits of so many would be too large."""
LOGITS_BYTES = 512_000_000
"""The most that one batch's logits may take, in float32."""

Progress = Callable[[float, str], None]


@dataclass
class _Sums:
    """Sums per example, batch by batch, of one evaluation."""

    before: list[Tensor] = field(default_factory=list)
    after: list[Tensor] = field(default_factory=list)
    fidelity: list[Tensor] = field(default_factory=list)


class Evaluator:
    """Measures what surgery cost: perplexity before and after, and fidelity to the `original`.

    The given models are never touched: each runs on a structural shell. What the original gives
    on a batch is measured once and kept (its logits up to `reference_bytes`), so later evaluations
    are quicker and paired with it example by example. One evaluation runs at a time. `exact` keeps
    float32 models in float32 on CUDA, `seed` draws the bootstrap.
    """

    def __init__(
        self,
        original: nn.Module,
        *,
        examples: Examples,
        device: str | torch.device = "auto",
        seed: int = 0,
        exact: bool = False,
        reference_bytes: int = 256_000_000,
    ) -> None:
        self.original, self.examples, self.seed, self.exact = original, examples, seed, exact
        self.device = resolve(device)
        self.reference_bytes = reference_bytes
        self.batch_size = _batch_size(original, examples)
        self._placer = Placer(self.device)
        self._baseline: Baseline | None = None
        self._predicts: bool | None = None
        self._lock = threading.Lock()

    def snapshot(self, model: nn.Module) -> nn.Module:
        """A shell of `model` as it is now, to be evaluated later; the original stays itself."""
        return model if model is self.original else structural(model)

    def evaluate(
        self,
        model: nn.Module,
        budget_s: float = 2.0,
        progress: Progress | None = None,
        stop: threading.Event | None = None,
    ) -> Report:
        """Compares `model` with the original on as many examples as `budget_s` seconds allow.

        At least two batches of eight are measured where there are so many; `math.inf` takes all.
        `progress(fraction, label)` is called after each batch. Raises Stopped once `stop` is set,
        and SurgeryError for a model that cannot run or whose logits are not numbers.
        """
        if not budget_s >= 0:
            raise SurgeryError("a budget is a time", got=f"{budget_s} s", expected="0 s or more")
        with self._lock, torch.no_grad(), _random_state_kept(self.device):
            return self._evaluate(model, budget_s, progress or (lambda *_: None), checker(stop))

    def _evaluate(
        self, model: nn.Module, budget_s: float, progress: Progress, check: Callable[[], None]
    ) -> Report:
        began = time.perf_counter()
        check()
        baseline, notes, sums = self._prepared(), list[str](), _Sums()
        edited = baseline.runner if model is self.original else self._runner(model, "the edited model")
        with ExitStack() as stack:
            for runner in dict.fromkeys([baseline.runner, edited]):
                stack.enter_context(runner.interruptible(check))
            if self._predicts is None:
                self._predicts = self._can_predict(baseline.runner)
            least = min(len(self.examples), 2 * BATCH)
            for done in self._batches(baseline, edited, sums, check, notes):
                spent = time.perf_counter() - began
                if done == len(self.examples) or (done >= least and spent >= budget_s):
                    break
                share = min(spent / budget_s if budget_s else 1.0, done / least)
                progress(min(0.99, max(share, done / len(self.examples))), _windows(done))
            progress(1.0, _windows(done))
        return self._report(sums, time.perf_counter() - began, edited.mixed, notes)

    def _prepared(self) -> Baseline:
        if self._baseline is None:
            shell = self._placer.place(self.original, remember=True)
            runner = Runner(shell, self.device, exact=self.exact, whose="the model before surgery")
            self._baseline = Baseline(runner, self.reference_bytes)
        return self._baseline

    def _runner(self, model: nn.Module, whose: str) -> Runner:
        return Runner(self._placer.place(model), self.device, exact=self.exact, whose=whose)

    def _can_predict(self, runner: Runner) -> bool:
        if self.examples.noise:
            return False
        try:
            return not looks_ahead(runner, self.examples.batch(0, 1).to(self.device))
        except RuntimeError as error:
            if is_out_of_memory(error):
                raise self._no_room() from error
            raise

    def _no_room(self) -> SurgeryError:
        return SurgeryError(
            f"one window of {self.examples.windows.shape[1]} tokens does not fit into the memory of "
            f"{self.device}",
            hint='a shorter window, or `device="cpu"`',
        )

    def _batches(
        self, baseline: Baseline, edited: Runner, sums: _Sums, check: Callable[[], None], notes: list[str]
    ) -> Iterator[int]:
        """Measures batch after batch into `sums`, giving how many examples are done; halves on no memory."""
        done, halved = 0, False
        while done < len(self.examples):
            check()
            stop = min(done + self.batch_size, len(self.examples))
            if self._measured((done, stop), baseline, edited, sums, check):
                done = stop
                if halved:
                    notes[:] = [f"Out of memory: went on with batches of {self.batch_size}."]
                yield done
                continue
            if stop - done == 1:
                raise self._no_room()
            self.batch_size, halved = max(1, (stop - done) // 2), True
            baseline.forget_logits()
            free_memory(self.device)

    def _measured(
        self,
        place: tuple[int, int],
        baseline: Baseline,
        edited: Runner,
        sums: _Sums,
        check: Callable[[], None],
    ) -> bool:
        """Measures the batch at `place` on both models; False where memory ran out, with nothing added."""
        try:
            batch = self.examples.batch(*place).to(self.device)
            reference = baseline.logits(place, batch)
            before = baseline.losses(place, reference, batch, check) if self._predicts else None
            logits = reference if edited is baseline.runner else edited.logits(batch)
            _same_vocabulary(reference, logits)
            after = Perplexity().measure(logits, None, batch, check) if self._predicts else None
            fidelity = Fidelity().measure(logits, reference, batch, check)
        except RuntimeError as error:
            if is_out_of_memory(error):
                return False
            raise
        if before is not None and after is not None:
            sums.before.append(before)
            sums.after.append(after)
        sums.fidelity.append(fidelity)
        return True

    def _report(self, sums: _Sums, seconds: float, mixed: bool, notes: list[str]) -> Report:
        fidelity, perplexity = torch.cat(sums.fidelity), None
        if self._predicts:
            perplexity = perplexity_change(torch.cat(sums.before), torch.cat(sums.after), seed=self.seed)
            if perplexity is None:
                notes = [*notes, "The loss is beyond what a perplexity can be written for."]
        elif not self.examples.noise:
            notes = [*notes, "The model looks ahead, so it has no perplexity."]
        if len(fidelity) == 1:
            notes = [*notes, "A single window has no interval."]
        if mixed:
            notes = [*notes, "Computed in bf16; `exact=True` keeps float32."]
        nats, agreed, tokens = fidelity.unbind(1)
        return Report(
            perplexity=perplexity,
            agreement=mean(agreed, tokens, seed=self.seed, scale=100.0),
            kl=mean(nats, tokens, seed=self.seed),
            examples=len(fidelity),
            tokens=int(tokens.sum()),
            seconds=seconds,
            device=str(self.device),
            data=self.examples.label,
            notes=tuple(notes),
        )


def _batch_size(model: nn.Module, examples: Examples) -> int:
    window_bytes = examples.windows.shape[1] * (vocabulary_size(model) or 1) * 4
    return max(1, min(BATCH, LOGITS_BYTES // window_bytes))


def _windows(count: int) -> str:
    return f"{count:,} windows" if count != 1 else "1 window"


def _same_vocabulary(reference: Tensor, logits: Tensor) -> None:
    if reference.shape[-1] != logits.shape[-1]:
        raise SurgeryError(
            "the edited model has another vocabulary, so its predictions cannot be compared",
            got=f"{logits.shape[-1]:,} logits per token",
            expected=f"{reference.shape[-1]:,}",
        )


def _random_state_kept(device: torch.device) -> AbstractContextManager[None]:
    """Puts the random state back at the end, for a model that draws even in evaluation mode.

    On the main thread only: elsewhere it would put back what the user's own thread drew meanwhile.
    """
    if threading.current_thread() is not threading.main_thread():
        return nullcontext()
    return torch.random.fork_rng(devices=[device.index] if device.type == "cuda" else [])
