"""The register: ours first, then what installed packages bring under `surgery.operations`."""

import sys
from collections.abc import Iterator
from importlib.metadata import EntryPoint, EntryPoints
from types import ModuleType
from typing import Any, get_args

import pytest
import torch

import surgery
from surgery import Script, SurgeryError
from surgery.edits import Edit, SetTensor
from surgery.fields import Targets, option
from surgery.lazy import recipe
from surgery.model import Patient
from surgery.operation import Group, Operation, operation
from surgery.operations import BUILT_IN
from surgery.registry import operation_named, operations
from tests.zoo import ZOO


@operation(title="Double", group="merge", source="original")
class Double(Operation):
    """Every parameter of the targets has twice its values."""

    targets: Targets = option(help="the modules")
    times: float = option(2.0, help="the factor", minimum=0.0)

    def plan(self, patient: Patient) -> Iterator[Edit]:
        for path in self.targets.paths:
            for name, lazy in patient.tensors(path):
                yield SetTensor(f"{path}.{name}", recipe("weighted_sum", lazy, weights=(self.times,)))


@operation(title="Remove", group="prune", source="original")
class Remove(Operation):
    """Takes the name of one that ships."""

    targets: Targets = option(help="the modules")

    def plan(self, patient: Patient) -> Iterator[Edit]:
        yield from ()


@pytest.fixture
def package(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Installs a package `third_party` whose entry points are the classes given; undone afterwards."""
    module = ModuleType("third_party")
    monkeypatch.setitem(sys.modules, "third_party", module)

    def install(*classes: type[Operation]) -> None:
        for cls in classes:
            setattr(module, cls.__name__, cls)
        points = EntryPoints(
            EntryPoint(cls.name, f"third_party:{cls.__name__}", "surgery.operations") for cls in classes
        )
        monkeypatch.setattr("surgery.registry.entry_points", lambda *, group: points.select(group=group))
        operations.cache_clear()

    yield install
    operations.cache_clear()


def test_ours_are_there_by_name() -> None:
    """Each built-in operation under the name of its class in lower case."""
    assert list(operations())[: len(BUILT_IN)] == [cls.__name__.lower() for cls in BUILT_IN]
    assert operation_named("remove") is operations()["remove"]


def test_every_operation_says_what_becomes_true_and_where_it_is_from() -> None:
    """Title, group, source, a summary and a help line per field: what forms and listings show."""
    for cls in operations().values():
        assert cls.title and cls.source and cls.summary().endswith(".")
        assert cls.group in get_args(Group)
        assert [spec.name for spec in cls.specs if not spec.help] == []


def test_third_party_operation_appears_and_runs(package: Any) -> None:
    """A method of the session, a step of the script, replayed to the same bits, undone like ours."""
    package(Double)
    assert list(operations())[-1] == "double"
    model, inputs = ZOO["tied_head"]()
    session = surgery.open(model, inputs)
    session.double("blocks.0.up", times=3)
    for name in ("weight", "bias"):
        path = f"blocks.0.up.{name}"
        assert torch.equal(session.model.get_parameter(path), model.get_parameter(path) * 3)
    script = Script.from_json(session.script.to_json())
    assert script.steps[0].name == "double"
    assert surgery.replay(script, model, inputs=inputs).fingerprint() == session.fingerprint()
    session.undo()
    assert session.fingerprint() == session.base.fingerprint


def test_without_its_package_a_script_is_refused(package: Any) -> None:
    """A step of an operation that is not installed says so."""
    package(Double)
    model, inputs = ZOO["tied_head"]()
    session = surgery.open(model, inputs)
    session.double("blocks.0.up")
    text = session.script.to_json()
    package()
    with pytest.raises(SurgeryError, match=r"^steps\[0\]: no operation is called 'double'"):
        Script.from_json(text)
    assert not hasattr(session, "double")


def test_a_taken_name_is_refused(package: Any) -> None:
    """A package may not replace one of ours: its entry point is named."""
    package(Remove)
    with pytest.raises(SurgeryError, match="'remove' of third_party:Remove has a name that is taken"):
        operations()


def test_unknown_name_gets_the_nearest() -> None:
    """A slip of the finger is pointed at."""
    with pytest.raises(SurgeryError, match="no operation is called 'sparsfy'") as refusal:
        operation_named("sparsfy")
    assert refusal.value.hint == "`sparsify`"
    assert "attach" in str(refusal.value.expected)
