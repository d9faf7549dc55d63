"""Latency of two models side by side: warmed, in turn, medians.

Runs of the two alternate, so that whatever else the machine does slows both alike. Timing is that of
torch.utils.benchmark: on the device's clock side, with as many threads as the user set.
"""

from __future__ import annotations

import inspect
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from typing import Any, Protocol

import torch
from torch import nn
from torch.utils.benchmark import Timer

from surgery.errors import SurgeryError
from surgery.evaluate.device import autocast, is_mixed
from surgery.evaluate.placing import placer
from surgery.evaluate.speed.memory import peak_bytes, stored_bytes
from surgery.evaluate.speed.report import Pace, SpeedReport
from surgery.stopping import Stopped, checked, checker

Check = Callable[[], None]
LEAST_ROUNDS = 7
STEPS = 8
"""Tokens decoded in a run: one alone is too short to be timed."""


def measure_speed(
    original: nn.Module,
    edited: nn.Module,
    inputs: Any,
    *,
    budget_s: float = 4.0,
    device: str | torch.device = "auto",
    exact: bool = False,
    prompt: int = 128,
    batch: int = 1,
    stop: threading.Event | None = None,
    seed: int = 0,
) -> SpeedReport:
    """Both models' speed within about `budget_s` seconds, at least seven rounds each.

    Models that generate are given `batch` sequences of `prompt` random tokens: "prefill" is one forward over
    them, "decode" a token after them with the cache. Others run "forward" on the example `inputs`. Raises
    SurgeryError for a model without weights or one that does not run, Stopped once `stop` is set.
    """
    place, check = placer(device, original), checker(stop)
    placed = [place.place(original, remember=True), place.place(edited)]
    mixed = is_mixed(place.device, placed[0], exact=exact)
    with ExitStack() as stack:  # nothing is timed yet
        for model in placed:
            stack.enter_context(checked(model, check))
        ways = _generating(placed, prompt, batch, place.device) or _forwards(placed, inputs, place.device)
    paces, peaks = [], (0, 0)
    with torch.no_grad(), autocast(place.device, placed[0], exact=exact):
        for name, unit, items, calls in ways:
            before, after = _rounds(calls, budget_s / len(ways), place.device, check)
            paces.append(Pace.of(name, unit, items, before, after, seed))
            found = []
            for which in (0, 1):
                with checked(placed[which], check):
                    found.append(peak_bytes(calls[which].once, placed[which], place.device))
            peaks = (max(peaks[0], found[0]), max(peaks[1], found[1]))
    return SpeedReport(
        tuple(paces),
        peaks,
        (stored_bytes(original), stored_bytes(edited)),
        str(place.device),
        torch.get_num_threads(),
        ("Computed in bf16; `exact=True` keeps float32.",) if mixed else (),
    )


class _Call(Protocol):
    """What is timed: `once` runs it, `seconds` says how long that took."""

    def once(self) -> object: ...
    def seconds(self, device: torch.device, check: Check) -> float: ...


class _Forward:
    """One forward, timed by torch's own timer."""

    def __init__(self, model: nn.Module, words: Mapping[str, Any], values: tuple[Any, ...] = ()) -> None:
        self.model, self.words, self.values = model, words, values

    def once(self) -> object:
        return self.model(*self.values, **self.words)

    def seconds(self, device: torch.device, check: Check) -> float:
        def call() -> None:
            check()  # the timer calls thrice, to warm up
            self.once()

        timer = Timer("call()", globals={"call": call}, num_threads=torch.get_num_threads())
        return float(timer.timeit(1).median)


class _Decode:
    """Tokens one by one after a prompt; the prompt's own forward is not timed."""

    def __init__(self, model: nn.Module, ids: torch.Tensor) -> None:
        self.model, self.ids = model, ids

    def once(self) -> object:
        return self.seconds(self.ids.device, lambda: None)

    def seconds(self, device: torch.device, check: Check) -> float:
        with checked(self.model, check):
            given: Any = self.model(input_ids=self.ids, use_cache=True)
        cache, last = given.past_key_values, self.ids[:, -1:]
        _wait(device)
        began = time.perf_counter()
        for _ in range(STEPS):
            check()
            self.model(input_ids=last, past_key_values=cache, use_cache=True)
        _wait(device)
        return time.perf_counter() - began


_Way = tuple[str, str, int, Sequence[_Call]]


def _generating(models: list[nn.Module], prompt: int, batch: int, device: torch.device) -> list[_Way]:
    """Prefill and decode for models that generate with a cache; none for others."""
    if not all(map(_generates, models)):
        return []
    config: Any = models[0].config
    if getattr(config, "is_encoder_decoder", False):
        return []
    text = config.get_text_config()
    length = min(prompt, (getattr(text, "max_position_embeddings", None) or prompt) - STEPS)
    if length < 1:
        return []
    ids = torch.randint(text.vocab_size, (batch, length), generator=torch.Generator().manual_seed(0)).to(
        device
    )
    prefill = [_Forward(model, {"input_ids": ids, "use_cache": True}) for model in models]
    ways: list[_Way] = [("prefill", "tokens", batch * length, prefill)]
    with torch.no_grad():
        cached = all(getattr(call.once(), "past_key_values", None) is not None for call in prefill)
    if cached:
        ways.append(("decode", "tokens", batch * STEPS, [_Decode(model, ids) for model in models]))
    return ways


def _generates(model: Any) -> bool:
    asked = getattr(model, "can_generate", None)
    return callable(asked) and bool(asked())


def _forwards(models: list[nn.Module], inputs: Any, device: torch.device) -> list[_Way]:
    if inputs is None:
        raise SurgeryError(
            "there are no example inputs to time a forward on", hint="`surgery.open(model, inputs=…)`"
        )
    calls, examples = [], 1
    for model in models:
        names = inspect.signature(model.forward).parameters
        if isinstance(inputs, Mapping):
            words = {key: _moved(value, device) for key, value in inputs.items()}
            words |= {"use_cache": False} if "use_cache" in names else {}
            calls.append(_Forward(model, words))
            first: Any = next(iter(words.values()), None)
        else:
            values = tuple(
                _moved(value, device) for value in (inputs if isinstance(inputs, tuple) else (inputs,))
            )
            calls.append(_Forward(model, {}, values))
            first = next(iter(values), None)
        examples = first.shape[0] if isinstance(first, torch.Tensor) and first.dim() else 1
    return [("forward", "examples", examples, calls)]


def _rounds(
    calls: Sequence[_Call], budget_s: float, device: torch.device, check: Check
) -> tuple[list[float], list[float]]:
    """Seconds of each model in each round; the first round warms up and is not counted."""
    taken: tuple[list[float], list[float]] = ([], [])
    began = time.perf_counter()
    while True:
        # Who comes first alternates, since the first finds the caches as the other left them.
        turn = (0, 1) if len(taken[0]) % 2 else (1, 0)
        found = {which: _run(calls[which], device, check) for which in turn}
        taken[0].append(found[0])
        taken[1].append(found[1])
        if len(taken[0]) > LEAST_ROUNDS and time.perf_counter() - began >= budget_s:
            return taken[0][1:], taken[1][1:]


def _run(call: _Call, device: torch.device, check: Check) -> float:
    try:
        return call.seconds(device, check)
    except Stopped:
        raise
    except Exception as error:
        raise SurgeryError(f"the model does not run: {type(error).__name__}: {error}") from error


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


def _moved(value: Any, device: torch.device) -> Any:
    return value.to(device) if isinstance(value, torch.Tensor) else value
