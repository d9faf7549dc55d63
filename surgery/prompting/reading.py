"""A model in the middle of a text: what it says comes next, with its cache where that proves right."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor

from surgery.errors import SurgeryError
from surgery.evaluate.answer import Wants
from surgery.evaluate.data.examples import IDS, Batch
from surgery.evaluate.running import Runner

DECODED = "decoder_input_ids"
_CLOSE = 1e-3


class Reader:
    """One model that reads one text, token by token; `said` is what may come next.

    A cache is compared once with a forward over the whole text, and is not used where they differ. An
    encoder-decoder reads `ids` with its encoder and goes on from `start`, the ids its decoder begins with.
    """

    def __init__(self, runner: Runner, ids: list[int], start: list[int] | None = None) -> None:
        self.runner, self._ids, self._start = runner, list(ids), start
        self._written: list[int] = []
        self._cache: Any = None
        self._trusted = False
        self.said = self._read(ids, first=True)

    def read(self, token: int) -> None:
        """Reads one more token."""
        self._written.append(token)
        self.said = self._read([token], first=False)

    def fork(self) -> Reader:
        """The same model after the same text, which goes on by itself."""
        other = copy.copy(self)
        other._written = list(self._written)
        other._cache = copy.deepcopy(self._cache)
        return other

    def _read(self, new: list[int], *, first: bool) -> Tensor:
        """Logarithms of the probabilities of what comes next, (vocabulary,) float64 on the CPU."""
        logits: Tensor | None = None
        if self.runner.has_cache and (first or self._cache is not None):
            logits, self._cache = self.runner.read_on(self._batch(new), self._cache)
            if logits is None:
                self._cache = None
        if logits is None or not (first or self._trusted or self._cache is None):
            logits = self._checked(logits)
        return log_probabilities(logits, self.runner.whose)

    def _checked(self, cached: Tensor | None) -> Tensor:
        """Logits of a forward over the whole text; the cache is kept from now on if it gave the same."""
        whole = next_logits(self.runner, self._inputs(), None)
        if cached is None:
            return whole
        apart = (cached.float() - whole.float()).norm() > self._tolerance() * whole.float().norm()
        if bool(apart):
            self._cache = None
            return whole
        self._trusted = True
        return cached

    def _tolerance(self) -> float:
        return _CLOSE if self.runner.is_single else 50 * _CLOSE

    def _batch(self, ids: list[int]) -> Tensor:
        return torch.tensor([ids], device=self.runner.device)

    def _inputs(self) -> dict[str, Tensor]:
        if self._start is None:
            return {IDS: self._batch(self._ids + self._written)}
        return {IDS: self._batch(self._ids), DECODED: self._batch(self._start + self._written)}


def next_logits(runner: Runner, inputs: dict[str, Tensor], place: tuple[int, int] | None) -> Tensor:
    """Logits (vocabulary,) of what comes after the inputs of one example, over the tape at its `place`."""
    answer = runner.answer(Batch(inputs), place, Wants(logits=True))
    text = inputs.get(DECODED, inputs[IDS])
    if answer.shape is None or not answer.per_position or answer.shape[0] != text.shape[1]:
        raise SurgeryError(
            f"{runner.whose} does not say for each token what comes next, so it writes no text"
        )
    return answer.at(torch.tensor([text.shape[1] - 1], device=runner.device))[0, 0]


def log_probabilities(logits: Tensor, whose: str) -> Tensor:
    """log-softmax in float64 on the CPU; SurgeryError for logits that are not numbers."""
    found = logits.detach().to("cpu", torch.float64)
    if bool(found.isnan().any()) or bool((found == torch.inf).any()) or not bool((found > -torch.inf).any()):
        raise SurgeryError(
            f"{whose} gives logits that are not numbers, so there is nothing to compare",
            got=f"{int((~found.isfinite()).sum()):,} NaN or infinite",
            expected="finite logits",
        )
    return found.log_softmax(-1)


def divergence_nats(p: Tensor, q: Tensor) -> float:
    """KL(p ‖ q) in nats of two distributions, given as logarithms (n,)."""
    if p.shape != q.shape:
        raise SurgeryError(
            "the edited model has another vocabulary or other classes, so its answers cannot be compared",
            got=f"{len(q):,} logits",
            expected=f"{len(p):,}",
        )
    possible = p > -torch.inf
    return max(0.0, float((p.exp() * (p - q))[possible].sum()))
