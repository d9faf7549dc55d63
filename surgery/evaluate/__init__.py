"""What surgery cost: tasks measured before and after, with intervals, within a time budget."""

from surgery.evaluate.data import (
    Batch,
    Examples,
    dataset_folder,
    default_examples,
    demo_text,
    examples_at,
    image_folder,
    noise_like,
    random_tokens,
    tensors,
    text_files,
    token_windows,
)
from surgery.evaluate.device import resolve
from surgery.evaluate.evaluator import Evaluator
from surgery.evaluate.figure import Figure, Quantity
from surgery.evaluate.report import Report
from surgery.evaluate.statistics import Interval
from surgery.evaluate.tasks import (
    Accuracy,
    AnswerTask,
    Custom,
    Embedding,
    Fidelity,
    Generation,
    Layers,
    LogitsTask,
    Perplexity,
    Task,
    task,
    task_data,
    task_from,
)
from surgery.stopping import Stopped

__all__ = [
    "Accuracy",
    "AnswerTask",
    "Batch",
    "Custom",
    "Embedding",
    "Evaluator",
    "Examples",
    "Fidelity",
    "Figure",
    "Generation",
    "Interval",
    "Layers",
    "LogitsTask",
    "Perplexity",
    "Quantity",
    "Report",
    "Stopped",
    "Task",
    "dataset_folder",
    "default_examples",
    "demo_text",
    "examples_at",
    "image_folder",
    "noise_like",
    "random_tokens",
    "resolve",
    "task",
    "task_data",
    "task_from",
    "tensors",
    "text_files",
    "token_windows",
]
