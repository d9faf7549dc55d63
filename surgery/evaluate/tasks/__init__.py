"""What an evaluation measures: a file per task, and the register of all."""

from surgery.evaluate.tasks.accuracy import Accuracy
from surgery.evaluate.tasks.contract import AnswerTask, LogitsTask, Task, task, unfit
from surgery.evaluate.tasks.custom import Custom
from surgery.evaluate.tasks.embedding import Embedding
from surgery.evaluate.tasks.fidelity import Fidelity
from surgery.evaluate.tasks.generation import Generation
from surgery.evaluate.tasks.layers import Layers
from surgery.evaluate.tasks.perplexity import Perplexity
from surgery.evaluate.tasks.register import task_data, task_from, task_named, tasks, tasks_of
from surgery.evaluate.tasks.usual import usual_tasks

__all__ = [
    "Accuracy",
    "AnswerTask",
    "Custom",
    "Embedding",
    "Fidelity",
    "Generation",
    "Layers",
    "LogitsTask",
    "Perplexity",
    "Task",
    "task",
    "task_data",
    "task_from",
    "task_named",
    "tasks",
    "tasks_of",
    "unfit",
    "usual_tasks",
]
