"""The register of tasks: those that ship and those of installed packages, by name, as data and as text."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from importlib.metadata import entry_points
from typing import Any

from surgery.entries import Kind, Unavailable, gathered, named, worded
from surgery.errors import SurgeryError
from surgery.evaluate.tasks.accuracy import Accuracy
from surgery.evaluate.tasks.contract import AnswerTask, LogitsTask, Task
from surgery.evaluate.tasks.custom import Custom
from surgery.evaluate.tasks.embedding import Embedding
from surgery.evaluate.tasks.fidelity import Fidelity
from surgery.evaluate.tasks.generation import Generation
from surgery.evaluate.tasks.layers import Layers
from surgery.evaluate.tasks.perplexity import Perplexity
from surgery.typed import plain_fields

ENTRY_POINTS = "surgery.tasks"
BUILT_IN: tuple[type[Task], ...] = (Fidelity, Perplexity, Accuracy, Layers, Embedding, Generation)
_KIND = Kind(Task, "task", "@task", "figures")


@dataclass(frozen=True)
class Register:
    """All tasks by name, and those of installed packages that are not among them."""

    tasks: dict[str, type[Task]]
    unavailable: tuple[Unavailable, ...]


@cache
def register() -> Register:
    """What there is; a package that fails, or takes a name that is not free, costs no other anything."""
    return Register(*gathered(_KIND, BUILT_IN, entry_points(group=ENTRY_POINTS), _reserved))


def tasks() -> dict[str, type[Task]]:
    """All tasks by name, ours first, then those of the entry-point group `surgery.tasks`."""
    return register().tasks


def task_named(name: str) -> type[Task]:
    """The task called `name`; SurgeryError with the nearest name, or the reason it cannot be had."""
    return named(_KIND, name, tasks(), register().unavailable)


def task_data(task: Task) -> dict[str, Any]:
    """A task as plain data, its name and every field. Raises SurgeryError for a function, which is none."""
    if isinstance(task, Custom):
        raise SurgeryError(
            f"the task {task.label!r} is a function, which cannot be written into a script",
            hint="a package that brings it as a task, under the entry-point group `surgery.tasks`",
        )
    return {"task": task.name} | plain_fields(task)


def task_from(data: Any, where: str = "task") -> Task:
    """The task that `data` describes; `where` names it in errors."""
    if not isinstance(data, dict) or not isinstance(data.get("task"), str):
        raise SurgeryError("is no task", path=where, expected="an object with a task")
    values = {key: value for key, value in data.items() if key != "task"}
    try:
        return task_named(data["task"]).from_fields(values)
    except SurgeryError as error:
        raise SurgeryError(
            error.problem, path=where, got=error.got, expected=error.expected, hint=error.hint
        ) from None


def task_in(text: str) -> Task:
    """The task that a word names, with fields behind it: `generation`, `generation:tokens=32`."""
    name, values = worded(text)
    return task_named(name).from_fields(values)


def tasks_of(given: Iterable[Task | str | Callable[..., Any]]) -> tuple[Task, ...]:
    """Tasks given as such, as words or as functions, each once."""
    if isinstance(given, str | Task) or callable(given):
        given = (given,)
    found: list[Task] = []
    for item in given:
        if isinstance(item, str):
            item = task_in(item)
        elif isinstance(item, type) and issubclass(item, Task):
            item = item.from_fields({})
        elif not isinstance(item, Task):
            item = Custom(function=item)
        if not isinstance(item, LogitsTask | AnswerTask | Custom):
            raise SurgeryError(
                f"the task {item.name!r} does not say what it is measured on",
                got=type(item).__bases__[0].__name__,
                expected="a LogitsTask or an AnswerTask",
            )
        if item not in found:
            found.append(item)
    if not found:
        raise SurgeryError("there is no task to measure", hint="`tasks=None` for the usual ones")
    return tuple(found)


def _reserved(name: str) -> str | None:
    return "its name is that of functions given as tasks" if name == Custom.name else None
