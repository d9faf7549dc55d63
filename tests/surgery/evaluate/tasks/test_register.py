"""Tasks by name: ours, those of installed packages, as data, as words and as functions."""

import json
import sys
from collections.abc import Iterator
from importlib.metadata import EntryPoint, EntryPoints
from types import ModuleType
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor, nn

import surgery
from surgery.errors import SurgeryError
from surgery.evaluate import (
    Accuracy,
    Custom,
    Examples,
    Fidelity,
    Generation,
    LogitsTask,
    Quantity,
    Task,
    task,
    task_data,
    task_from,
    tensors,
)
from surgery.evaluate.answer import Chunk
from surgery.evaluate.data.examples import Batch
from surgery.evaluate.subject import Subject
from surgery.evaluate.tasks.register import BUILT_IN, register, task_in, task_named, tasks, tasks_of
from surgery.fields import option
from surgery.show.operations import print_tasks


@task(title="Confidence", source="original")
class Confidence(LogitsTask):
    """The mean probability of the likeliest class, times `scale`."""

    width: ClassVar[int] = 1

    scale: float = option(1.0, help="the factor", minimum=0.0)

    def quantities(self, subject: Subject) -> tuple[Quantity, ...]:
        return (Quantity("confidence", "", "higher", 2),)

    def counted(self, batch: Batch, positions: int) -> Tensor:
        return torch.ones(len(batch), positions, dtype=torch.bool)

    def values(self, chunk: Chunk) -> Tensor:
        return self.scale * chunk.logits.softmax(-1).amax(-1, keepdim=True)

    def figures(self, sums: Tensor) -> Tensor:
        return sums[..., :1] / sums[..., 1:]


@task(title="Accuracy", source="original")
class Taken(Confidence):
    """Takes the name of one that ships."""


Taken.name = "accuracy"


@task(title="Empty", source="original")
class Empty(Task):
    """Cannot be made: it has no figures."""


@pytest.fixture
def package(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Installs a package `third_party` whose entry points are the values given; undone afterwards."""
    module = ModuleType("third_party")
    monkeypatch.setitem(sys.modules, "third_party", module)

    def install(**values: object) -> None:
        for name, value in values.items():
            setattr(module, name, value)
        points = EntryPoints(
            EntryPoint(name.lower(), f"third_party:{name}", "surgery.tasks") for name in (*values, "Absent")
        )
        monkeypatch.setattr(
            "surgery.evaluate.tasks.register.entry_points", lambda *, group: points.select(group=group)
        )
        register.cache_clear()

    yield install
    register.cache_clear()


def test_every_task_says_what_it_measures() -> None:
    """Title, source, a summary and a help line per field: what forms and listings show."""
    assert list(tasks()) == ["fidelity", "perplexity", "accuracy", "layers", "embedding", "generation"]
    for cls in BUILT_IN:
        assert cls.title and cls.source and cls.summary().endswith(".")
        assert all(spec.help for spec in cls.specs)


def test_a_third_partys_task_is_measured(package: Any) -> None:
    """By its name, with its fields, beside ours."""
    package(Confidence=Confidence)
    logits = torch.tensor([[0.0, 3.0], [2.0, 0.0]])

    class Table(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return logits[x.flatten().long()]

    session = surgery.open(Table(), torch.zeros(1, 1))
    examples = tensors(torch.tensor([[0.0], [1.0]]))
    report = session.evaluate(0, examples, tasks=["confidence:scale=10", "fidelity"])
    assert report["confidence"].after == pytest.approx(5 * float(logits.softmax(-1).amax(-1).sum()))
    assert report["fidelity"].unchanged


def test_what_fails_disables_nothing(package: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """A package that fails, a taken name, what is no task: each is listed with the reason."""
    package(Confidence=Confidence, Taken=Taken, Empty=Empty, Number=7)
    assert list(tasks()) == [*(cls.name for cls in BUILT_IN), "confidence"]
    assert task_named("accuracy") is Accuracy
    print_tasks()
    said = " ".join(capsys.readouterr().out.split())
    assert "confidence" in said and said.count("unavailable:") == 4
    for name, reason in {
        "empty": "it has no figures",
        "number": "it is no class made with @task",
        "absent": "AttributeError",
    }.items():
        with pytest.raises(
            SurgeryError, match=f"the task '{name}' of third_party:.* cannot be had: {reason}"
        ):
            task_named(name)


@pytest.mark.parametrize("made", [Fidelity(), Accuracy(top=3), Generation(tokens=5)])
def test_json_round_trip(made: Task) -> None:
    """A task is the same after it was written as JSON and read back."""
    assert task_from(json.loads(json.dumps(task_data(made)))) == made


def test_a_function_is_no_data() -> None:
    """It cannot be written into a script, and is said so by name."""
    with pytest.raises(
        SurgeryError, match="the task 'len' is a function, which cannot be written into a script"
    ):
        task_data(Custom(function=len))


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        ({"task": "accuracy", "topp": 2}, r"^step: accuracy has no field 'topp'.*`top`"),
        (
            {"task": "accuracy", "top": 0},
            r"^step: accuracy\.top is out of bounds; got 0, expected at least 1",
        ),
        (
            {"task": "accuracy", "top": "two"},
            r"^step: accuracy\.top does not fit; got 'two', expected a whole number",
        ),
        ({"task": "accurac"}, r"^step: no task is called 'accurac'.*`accuracy`"),
        ({"top": 1}, r"^step: is no task"),
        ({"task": "fidelity", "x": 1}, r"^step: fidelity has no field 'x'; expected no fields"),
    ],
)
def test_data_that_is_no_task(data: Any, problem: str) -> None:
    """Unknown names, fields and values are refused."""
    with pytest.raises(SurgeryError, match=problem):
        task_from(data, "step")


def test_tasks_are_given_in_several_ways() -> None:
    """As words with fields, as objects, as classes, as functions, alone or in a list, each once."""
    assert tasks_of("accuracy:top=5") == (Accuracy(top=5),) == tasks_of(["accuracy:top=5", Accuracy(top=5)])
    assert tasks_of([Fidelity, Generation(tokens=2)]) == (Fidelity(), Generation(tokens=2))
    assert task_in("generation:tokens=32") == Generation(tokens=32)
    (function,) = tasks_of(lambda model, batch: 0)
    assert isinstance(function, Custom) and function.label == "<lambda>"
    with pytest.raises(SurgeryError, match="there is no task to measure"):
        tasks_of([])
    with pytest.raises(SurgeryError, match="a task of yours is a function; got 7"):
        tasks_of([7])  # type: ignore[list-item]


def test_a_task_of_no_kind() -> None:
    """One that is neither on logits nor on the rest of an answer could never be measured."""

    @task(title="Vague", source="original")
    class Vague(Task):
        """Has figures and nothing they are of."""

        def quantities(self, subject: Subject) -> tuple[Quantity, ...]:
            return ()

        def figures(self, sums: Tensor) -> Tensor:
            return sums

    with pytest.raises(SurgeryError, match="the task 'vague' does not say what it is measured on; got Task"):
        tasks_of([Vague()])


def test_the_usual_tasks(model: nn.Module, examples: Examples) -> None:
    """Perplexity and fidelity of text, accuracy and fidelity of what has labels, fidelity of noise."""

    def names(session: surgery.Session, given: Examples | None) -> list[str]:
        return list(dict.fromkeys(figure.task for figure in session.evaluate(0, given).results))

    decoder, classifier = surgery.open(model), surgery.open("demo-vit")
    assert names(decoder, examples) == ["perplexity", "fidelity"]
    assert names(classifier, None) == ["accuracy", "fidelity"]
    assert names(classifier, tensors({"pixel_values": torch.rand(3, 1, 8, 8)})) == ["fidelity"]
    labelled = tensors(examples.inputs, torch.zeros(40, dtype=torch.int64))
    assert names(decoder, labelled) == ["perplexity", "fidelity"]
    assert "no accuracy" in decoder.evaluate(0, labelled).notes[0]
