"""The register: ours first, then what installed packages bring under `surgery.operations`."""

import sys
from collections.abc import Iterator
from importlib.metadata import EntryPoint, EntryPoints
from pathlib import Path
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
from surgery.operations import all_shipped
from surgery.registry import operation_named, operations, register, reserved, unavailable
from surgery.show.operations import print_operations
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
        register.cache_clear()

    yield install
    register.cache_clear()


def test_ours_are_there_by_name() -> None:
    """Each built-in operation under the name of its class in snake case."""
    names = [cls.__name__.lower() for cls in all_shipped()]
    assert [name.replace("_", "") for name in operations()][: len(names)] == names
    files = Path(surgery.operations.__file__).parent.rglob("[!_]*.py")
    assert {cls.__module__.rpartition(".")[2] for cls in all_shipped()} == {file.stem for file in files}
    assert operations()["model_stock"].__name__ == "ModelStock"
    assert all(getattr(surgery.operations, cls.__name__) is cls for cls in all_shipped())
    for name in ("Nothing", "model_Stock", "modelStock", "TIE"):
        assert not hasattr(surgery.operations, name)
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


def test_a_taken_name_stays_ours(package: Any) -> None:
    """A package may not replace one of ours: its own is reported with its entry point, all others work."""
    package(Remove, Double)
    assert operations()["remove"] is all_shipped()[0] and operations()["double"] is Double
    failed = unavailable("remove")
    assert failed is not None and failed.source == "third_party:Remove"
    assert failed.reason == "its name is taken by another operation"


@operation(title="Save", group="merge", source="original")
class Save(Operation):
    """Has the name of something that every session has."""

    targets: Targets = option(help="the modules")

    def plan(self, patient: Patient) -> Iterator[Edit]:
        yield from ()


@pytest.mark.parametrize("name", ["save", "undo", "model", "history", "preview", "lock"])
def test_names_of_the_session_itself_are_refused(package: Any, name: str) -> None:
    """`s.save` saves, whatever is installed: a script that means the other is refused with the reason."""
    package(type(name.title(), (Save,), {"name": name}))
    session = surgery.open(*ZOO["tied_head"]())
    assert name not in operations()
    assert getattr(session, name) is not None and "lambda" not in repr(getattr(session, name))
    with pytest.raises(SurgeryError, match=f"'{name}' of third_party:.* cannot be had: .* `s.{name}`"):
        operation_named(name)


@operation(title="Planless", group="merge", source="original")
class Planless(Operation):
    """Never says what it would do."""

    targets: Targets = option(help="the modules")


def test_an_operation_without_a_plan_is_reported(package: Any) -> None:
    """It could not even be made; the rest can."""
    package(Planless)
    failed = unavailable("planless")
    assert failed is not None and failed.reason == "it has no plan"
    assert "remove" in operations()


def test_ours_have_no_name_of_the_session() -> None:
    """Each is reachable as a method; no attribute of a live session is forgotten in what is reserved."""
    assert reserved() & operations().keys() == set()
    session = surgery.open(*ZOO["tied_head"]())
    assert {name for name in vars(session) if not name.startswith("_")} <= reserved()


def broken(monkeypatch: pytest.MonkeyPatch, error: BaseException | None, content: object = None) -> None:
    """Installs a package `fragile` that raises when it is loaded, or gives what is no operation."""

    def load(self: EntryPoint) -> object:
        if self.value.startswith("fragile"):
            if error is not None:
                raise error
            return content
        return Double

    points = EntryPoints(
        EntryPoint(name, value, "surgery.operations")
        for name, value in (("fragile", "fragile.ops:Fragile"), ("double", "third_party:Double"))
    )
    monkeypatch.setattr("surgery.registry.entry_points", lambda *, group: points.select(group=group))
    monkeypatch.setattr(EntryPoint, "load", load)
    register.cache_clear()


@pytest.fixture
def fresh() -> Iterator[None]:
    """The register is made anew afterwards."""
    yield
    register.cache_clear()


BROKEN = [
    (ModuleNotFoundError("No module named 'absent'"), "ModuleNotFoundError: No module named 'absent'"),
    (SyntaxError("invalid syntax"), "SyntaxError: invalid syntax"),
    (SystemExit(), "SystemExit"),
    (RuntimeError("first line\nsecond"), "RuntimeError: first line"),
    (None, "it is no class made with @operation"),
]


@pytest.mark.parametrize(("error", "reason"), BROKEN, ids=lambda value: str(value)[:20])
def test_a_package_that_fails_disables_nothing_else(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    fresh: None,
    error: BaseException | None,
    reason: str,
) -> None:
    """Ours and other packages' work; the one that fails is listed with the reason, and refused with it."""
    broken(monkeypatch, error, content=Operation)
    assert {"remove", "double"} <= operations().keys() and "fragile" not in operations()
    monkeypatch.setenv("COLUMNS", "200")
    print_operations()
    said = capsys.readouterr().out
    assert f"unavailable: {reason}" in said and "fragile.ops:Fragile" in said
    session = surgery.open(*ZOO["tied_head"]())
    session.remove("blocks[0]")
    text = session.script.to_json().replace('"operation": "remove"', '"operation": "fragile"')
    with pytest.raises(
        SurgeryError, match=r"^steps\[0\]: the operation 'fragile' of fragile\.ops:Fragile"
    ) as no:
        Script.from_json(text)
    assert reason in str(no.value) and "\n" not in str(no.value)
    assert not hasattr(session, "fragile")
    with pytest.raises(AttributeError, match="no attribute or operation 'fragile'; fragile"):
        session.fragile("blocks[0]")


def test_unknown_name_gets_the_nearest() -> None:
    """A slip of the finger is pointed at."""
    with pytest.raises(SurgeryError, match="no operation is called 'sparsfy'") as refusal:
        operation_named("sparsfy")
    assert refusal.value.hint == "`sparsify`"
    assert "attach" in str(refusal.value.expected)
