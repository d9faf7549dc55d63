"""Advisers by name: ours, and those of installed packages."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from importlib.metadata import EntryPoint, EntryPoints
from types import ModuleType
from typing import Any

import pytest
import torch

import surgery
from surgery.advise import Advice, Adviser, Case, adviser, adviser_named, advisers
from surgery.advise.register import BUILT_IN, adviser_in, register
from surgery.errors import SurgeryError
from surgery.fields import option
from tests.surgery.advise.models import plane


@adviser(title="Length", source="original", reads="weights", cost="nothing", unit="letters")
class Length(Adviser):
    """The length of a path, times `factor`."""

    factor: float = option(1.0, help="the factor", minimum=0.0)

    def score(self, case: Case) -> Advice:
        return case.advice(self, case.paths, [self.factor * len(path) for path in case.paths])


@adviser(title="Snip", source="original", reads="weights", cost="nothing")
class Taken(Length):
    """Takes the name of one that ships."""


Taken.name = "snip"


@adviser(title="Empty", source="original", reads="weights", cost="nothing")
class Empty(Adviser):
    """Cannot be made: it scores nothing."""


@pytest.fixture
def package(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Installs a package `third_party` whose entry points are the values given; undone afterwards."""
    module = ModuleType("third_party")
    monkeypatch.setitem(sys.modules, "third_party", module)

    def install(**values: object) -> None:
        for name, value in values.items():
            setattr(module, name, value)
        points = EntryPoints(
            EntryPoint(name.lower(), f"third_party:{name}", "surgery.advisers")
            for name in (*values, "Absent")
        )
        monkeypatch.setattr(
            "surgery.advise.register.entry_points", lambda *, group: points.select(group=group)
        )
        register.cache_clear()

    yield install
    register.cache_clear()


def test_every_adviser_says_what_it_is() -> None:
    """Title, source, cost, a summary and a help line per field: what listings and docs show."""
    assert len(advisers()) == len(BUILT_IN) == 17 and surgery.advisers() is advisers()
    for cls in BUILT_IN:
        assert cls.title and cls.source and cls.cost and cls.edit and cls.summary().endswith(".")
        assert cls.reads in ("weights", "examples", "gradients")
        assert cls.__module__ == f"surgery.advise.{cls.reads}.{cls.name}"
        assert all(spec.help for spec in cls.specs)


def test_a_third_partys_adviser_is_asked(package: Any) -> None:
    """By its name, with its fields, beside ours."""
    package(Length=Length)
    session, _ = plane(torch.eye(2), torch.eye(2))
    advice = session.advise("length:factor=2")
    assert advice.numbers == (16.0, 16.0) and advice.text(16.0) == "16 letters"
    assert [*surgery.advisers()][-1] == "length"


def test_what_fails_disables_nothing(package: Any) -> None:
    """A package that fails, a taken name, what is no adviser: each says why it cannot be had."""
    package(Length=Length, Taken=Taken, Empty=Empty, Number=7)
    assert list(advisers()) == [*(cls.name for cls in BUILT_IN), "length"]
    assert adviser_named("snip").title == "SNIP"
    for name, reason in {
        "empty": "it has no score",
        "number": "it is no class made with @adviser",
        "absent": "AttributeError",
    }.items():
        with pytest.raises(SurgeryError, match=f"the adviser {name!r} of .* cannot be had: {reason}"):
            adviser_named(name)


def test_words() -> None:
    """Fields behind the name, those beside it win; a field without value is refused."""
    assert adviser_in("angular_distance:n=2").n == 2  # type: ignore[attr-defined]
    assert adviser_in("angular_distance:n=2", {"n": 3}).n == 3  # type: ignore[attr-defined]
    with pytest.raises(SurgeryError, match="a field is given with its value; got 'n'"):
        adviser_in("angular_distance:n")
