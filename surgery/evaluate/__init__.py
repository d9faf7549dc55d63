"""What surgery cost: perplexity and fidelity with intervals, within a time budget."""

from surgery.evaluate.data import (
    Batch,
    Examples,
    default_examples,
    demo_text,
    random_tokens,
    text_files,
    token_windows,
)
from surgery.evaluate.device import resolve
from surgery.evaluate.evaluator import Evaluator
from surgery.evaluate.fidelity import Fidelity
from surgery.evaluate.perplexity import Perplexity
from surgery.evaluate.report import Change, Measured, Report
from surgery.evaluate.statistics import Interval
from surgery.evaluate.stopping import Stopped
from surgery.evaluate.tasks import Task
from surgery.evaluate.worker import Job, Worker

__all__ = [
    "Batch",
    "Change",
    "Evaluator",
    "Examples",
    "Fidelity",
    "Interval",
    "Job",
    "Measured",
    "Perplexity",
    "Report",
    "Stopped",
    "Task",
    "Worker",
    "default_examples",
    "demo_text",
    "random_tokens",
    "resolve",
    "text_files",
    "token_windows",
]
