"""Speed, memory and size before and after surgery. What is quick is not tested here: see the benchmarks."""

from __future__ import annotations

import threading
from collections.abc import Callable
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor, nn

from surgery import SurgeryError
from surgery.evaluate import Stopped
from surgery.evaluate.speed import Pace, measure_speed, peak_bytes, stored_bytes
from tests.surgery.evaluate.conftest import decoder

CPU = torch.device("cpu")


class Takes(nn.Module):
    """Takes about as long as it is told, by a clock of its own."""

    passed = 0.0
    calls = 0

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self.seconds, self.linear = seconds, nn.Linear(4, 4)

    def forward(self, x: Tensor) -> Tensor:
        Takes.calls += 1
        Takes.passed += self.seconds * (1 + 0.01 * (Takes.calls % 7))
        y: Tensor = self.linear(x)
        return y


class Clocked:
    """Stands for torch's timer."""

    def __init__(self, stmt: str, globals: dict[str, Callable[[], None]], num_threads: int) -> None:
        self.call = globals["call"]

    def timeit(self, number: int) -> SimpleNamespace:
        began = Takes.passed
        for _ in range(number):
            self.call()
        return SimpleNamespace(median=(Takes.passed - began) / number)


@pytest.fixture
def clocked(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is timed goes by the clock of the models."""
    monkeypatch.setattr("surgery.evaluate.speed.speed.Timer", Clocked)


@pytest.mark.usefixtures("clocked")
def test_a_model_that_takes_a_third_of_the_time_is_three_times_as_quick() -> None:
    """The interval of the speed-up holds three, and excludes one."""
    found = measure_speed(Takes(0.03), Takes(0.01), torch.ones(2, 4), budget_s=0, device="cpu")
    pace = found["forward"]
    assert pace.items == 2
    assert pace.before_s == pytest.approx(0.03, rel=0.1)
    assert pace.speedup == pytest.approx(3, rel=0.1)
    assert not pace.no_change and "×" in str(pace)


@pytest.mark.usefixtures("clocked")
def test_two_equal_models_have_no_measurable_change() -> None:
    """Rounds taken in turn see the same."""
    pace = measure_speed(Takes(0.01), Takes(0.01), torch.ones(2, 4), budget_s=0, device="cpu")["forward"]
    assert pace.no_change
    assert "no measurable change" in str(pace)


def test_a_decoder_is_timed_at_the_prompt_and_token_by_token() -> None:
    """With the shorter prompt where it has fewer positions, and with its cache."""
    model = decoder(blocks=2).eval()
    found = measure_speed(model, model, None, budget_s=0.1, device="cpu", prompt=500)
    assert found["prefill"].items == 64 - 8
    assert found["decode"].items == 8
    with pytest.raises(KeyError):
        found["forward"]


def test_the_peak_is_the_weights_and_what_lives_at_once() -> None:
    """Of a chain of three products of 4,000 bytes no more than two live at a time."""
    model = nn.Linear(10, 10, bias=False)
    x = torch.ones(100, 10)

    def chain() -> Tensor:
        y = x
        for _ in range(3):
            y = torch.sin(y)
        return y

    def kept() -> list[Tensor]:
        return [torch.sin(x) for _ in range(3)]

    weights = 10 * 10 * 4
    with torch.no_grad():
        assert peak_bytes(chain, model, CPU) == weights + 2 * 4000
        assert peak_bytes(kept, model, CPU) == weights + 3 * 4000
        assert peak_bytes(lambda: x.view(10, 100).t(), model, CPU) == weights


def test_a_tied_weight_is_stored_once() -> None:
    """However many paths it has."""
    model = nn.Sequential(nn.Linear(8, 8, bias=False), nn.Linear(8, 8, bias=False))
    assert stored_bytes(model) == 2 * 8 * 8 * 4
    model[1].weight = model[0].weight
    assert stored_bytes(model) == 8 * 8 * 4


@pytest.mark.parametrize("before, after, said", [(1.0, 0.5, "× 2"), (1.0, 0.99, "no measurable change")])
def test_a_pace_in_words(before: float, after: float, said: str) -> None:
    """Items per second before and after, and what can be said of the change."""
    pace = Pace.of("decode", "tokens", 100, [before] * 9, [after] * 9, seed=0)
    assert said in str(pace) and str(pace).startswith("decode 100 → ")


def test_without_inputs_there_is_nothing_to_time() -> None:
    """The sentence says what to pass."""
    with pytest.raises(SurgeryError, match="example inputs"):
        measure_speed(Takes(0), Takes(0), None, device="cpu")


def test_a_model_that_fails_is_a_sentence() -> None:
    """With what it raised."""
    with pytest.raises(SurgeryError, match="does not run: RuntimeError"):
        measure_speed(Takes(0), Takes(0), torch.ones(2, 5), device="cpu")


def test_stopping() -> None:
    """Between two rounds."""
    stop = threading.Event()
    stop.set()
    with pytest.raises(Stopped):
        measure_speed(Takes(0), Takes(0), torch.ones(2, 4), device="cpu", stop=stop)


def test_the_callers_threads_are_kept() -> None:
    """Timing uses as many as the user set, and leaves them set."""
    seen: list[int] = []

    class Threads(Takes):
        def forward(self, x: Tensor) -> Tensor:
            seen.append(torch.get_num_threads())
            return x

    def measured(run: Callable[[], object]) -> set[int]:
        seen.clear()
        run()
        return set(seen)

    before = torch.get_num_threads()
    found = measured(
        lambda: measure_speed(Threads(0), Threads(0), torch.ones(1, 4), budget_s=0, device="cpu")
    )
    assert found == {before} == {torch.get_num_threads()}
