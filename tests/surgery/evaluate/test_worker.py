import gc
import math
import threading
import time
import weakref
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from graph.shell import shell
from surgery.evaluate import Evaluator, Examples, Job, Report, Stopped, Worker, token_windows

Scale = Callable[[nn.Module, float], nn.Module]


class Slow(nn.Module):
    """Embeds tokens as logits, in ten milliseconds a batch."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(16, 16)

    def forward(self, ids: Tensor) -> Tensor:
        time.sleep(0.01)
        return self.embed(ids)


class Heard:
    """Collects what a job calls back, and in which thread."""

    def __init__(self) -> None:
        self.reports: list[Report] = []
        self.errors: list[Exception] = []
        self.threads: set[str] = set()
        self.began = threading.Event()

    def progress(self, share: float, label: str) -> None:
        self.threads.add(threading.current_thread().name)
        self.began.set()

    def done(self, report: Report) -> None:
        self.threads.add(threading.current_thread().name)
        self.reports.append(report)

    def error(self, error: Exception) -> None:
        self.threads.add(threading.current_thread().name)
        self.errors.append(error)

    @property
    def callbacks(self) -> tuple[Callable[..., None], Callable[..., None], Callable[..., None]]:
        return self.progress, self.done, self.error


@pytest.fixture
def slow() -> Worker:
    """A worker that is busy for twenty seconds if nobody stops it."""
    return Worker(Evaluator(Slow(), examples=token_windows(torch.zeros(8000, 4, dtype=torch.int64))))


def test_report_arrives(model: nn.Module, examples: Examples, scale: Scale) -> None:
    """The report and the progress arrive from the worker's one daemon thread."""
    evaluator, heard = Evaluator(model, examples=examples), Heard()
    job = Worker(evaluator).submit(scale(model, 0.7), math.inf, *heard.callbacks)
    assert job.wait(10)
    assert ({"surgery-evaluate"}, [], 40) == (heard.threads, heard.errors, heard.reports[0].examples)
    expected = evaluator.evaluate(scale(model, 0.7), math.inf)
    assert expected["perplexity"] == heard.reports[0]["perplexity"]
    assert all(each.daemon for each in threading.enumerate() if each.name == "surgery-evaluate")


def test_chosen_tasks_and_where_blocks_came_from(model: nn.Module, examples: Examples) -> None:
    """What is asked of the worker is what the evaluator would be asked."""
    evaluator, heard, edited = Evaluator(model, examples=examples), Heard(), shell(model).model
    del edited.model.layers[0]
    edited.config.num_hidden_layers = 1
    asked: Any = {"tasks": ["layers"], "origins": {"model.layers.0": "model.layers.1"}}
    assert Worker(evaluator).submit(edited, math.inf, *heard.callbacks, **asked).wait(10)
    assert heard.errors == []
    assert heard.reports[0].results == evaluator.evaluate(edited, math.inf, **asked).results
    assert [figure.task for figure in heard.reports[0].results] == ["layers"]


def test_stop_is_quick(slow: Worker) -> None:
    """A running evaluation ends within 0.2 s of being stopped, with Stopped and no report."""
    heard = Heard()
    job = slow.submit(Slow(), math.inf, *heard.callbacks)
    assert heard.began.wait(10)
    job.stop()
    assert job.wait(0.2)
    assert ([Stopped], []) == ([type(error) for error in heard.errors], heard.reports)


def test_stopped_at_the_last_moment(model: nn.Module, examples: Examples) -> None:
    """A job stopped when all is measured still gives no report: somebody else's is on the screen."""
    heard, jobs = Heard(), list[Job]()
    submitted = threading.Event()

    def stop_at_the_end(share: float, label: str) -> None:
        submitted.wait(10)
        if share == 1:
            jobs[0].stop()

    worker = Worker(Evaluator(model, examples=examples))
    jobs.append(worker.submit(model, 0.0, stop_at_the_end, heard.done, heard.error))
    submitted.set()
    assert jobs[0].wait(10)
    assert ([type(error) for error in heard.errors], heard.reports) == ([Stopped], [])


def test_latest_wins(slow: Worker) -> None:
    """A new request stops the one that runs and the one that waits, and is answered itself."""
    first, second, third = Heard(), Heard(), Heard()
    slow.submit(Slow(), math.inf, *first.callbacks)
    assert first.began.wait(10)
    slow.submit(Slow(), math.inf, *second.callbacks)
    last = slow.submit(Slow(), 0.0, *third.callbacks)
    assert last.wait(10)
    assert [[Stopped], [Stopped]] == [[type(error) for error in each.errors] for each in (first, second)]
    assert (len(third.reports), third.errors) == (1, [])


def test_errors_arrive(model: nn.Module, examples: Examples, scale: Scale) -> None:
    """What goes wrong is handed to on_error, and the worker goes on."""
    worker, heard = Worker(Evaluator(model, examples=examples)), Heard()
    assert worker.submit(scale(model, float("nan")), 1.0, *heard.callbacks).wait(10)
    assert "not numbers" in str(heard.errors[0])
    assert worker.submit(model, 1.0, *heard.callbacks).wait(10)
    assert heard.reports[0].unchanged


def test_failing_callback(model: nn.Module, examples: Examples, caplog: pytest.LogCaptureFixture) -> None:
    """A callback that raises is logged and does not end the worker."""

    def fail(report: Report) -> None:
        raise ValueError("a broken chart")

    worker, heard = Worker(Evaluator(model, examples=examples)), Heard()
    assert worker.submit(model, 1.0, on_done=fail).wait(10)
    assert "a broken chart" in caplog.text
    assert worker.submit(model, 1.0, *heard.callbacks).wait(10)
    assert len(heard.reports) == 1


def test_nothing_is_kept(model: nn.Module, examples: Examples) -> None:
    """Once it is idle the worker has no thread, so neither it nor a model is kept alive."""
    worker, edited = Worker(Evaluator(model, examples=examples)), shell(model).model
    cut = edited.model.layers[0].mlp.up_proj.weight = nn.Parameter(torch.zeros(48, 32))
    kept = weakref.ref(cut)
    assert worker.submit(edited, 1.0).wait(10)
    for each in threading.enumerate():
        if each.name == "surgery-evaluate":
            each.join(10)
    del edited, cut
    gc.collect()
    assert (kept(), worker._thread) == (None, None)


def test_later_edits_do_not_show(model: nn.Module, examples: Examples) -> None:
    """What is evaluated is the model as it was submitted."""
    heard, edited = Heard(), shell(model).model
    job = Worker(Evaluator(model, examples=examples)).submit(edited, math.inf, *heard.callbacks)
    del edited.model.layers[:]
    assert job.wait(10)
    assert (heard.reports[0].unchanged, heard.errors) == (True, [])
