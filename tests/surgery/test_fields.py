"""Every kind of field takes what fits it and refuses the rest with one sentence."""

import dataclasses
from typing import Any, Literal

import pytest

from surgery.coercion import coerce
from surgery.errors import SurgeryError
from surgery.fields import Found, Options, Parent, Schedule, Target, Targets, field_specs, option


@dataclasses.dataclass
class Every:
    """A field of each kind."""

    paths: Targets = option(help="some modules")
    path: Target = option(help="one module")
    number: float = option(0.5, help="a part", minimum=0.0, maximum=1.0)
    integer: int = option(4, help="a count", minimum=1, maximum=9)
    choice: Literal["up", "down"] = option("up", help="a way")
    flag: bool = option(False, help="whether")
    text: str = option("", help="words")
    numbers: tuple[float, ...] = option((), help="weights")
    schedule: Schedule = option(0.5, help="a value over depth", minimum=0.0)
    schedules: tuple[Schedule, ...] = option((), help="values over depth", maximum=2.0)
    parents: tuple[Parent, ...] = option((), help="folders")
    found: Found = option(Found([]), help="what a run showed")
    options: Options = option(Options(), help="values by name")
    way: str = option("left", help="one of these", choices=("left", "right"))
    perhaps: float | None = option(None, help="a scale, or none", minimum=0.0)


SPECS = {spec.name: spec for spec in field_specs(Every)}

FITS: list[tuple[str, Any, Any]] = [
    ("paths", "a.b", Targets("a.b")),
    ("paths", ["a", "b[0]"], Targets("a, b[0]")),
    ("paths", {"select": "a[0]"}, Targets("a[0]")),
    ("paths", {"select": "a[0]", "paths": ["a.0"]}, Targets("a[0]", ("a.0",))),
    ("paths", Targets("a", ("a",)), Targets("a", ("a",))),
    ("paths", Targets("a").expect(2), Targets("a", (), 2)),
    ("paths", {"select": "a", "expect": 2}, Targets("a", (), 2)),
    ("paths", {"select": "a", "paths": ["a"], "expect": 1}, Targets("a", ("a",), 1)),
    ("path", "a", Target("a")),
    ("path", Targets("a[-1]"), Target("a[-1]")),
    ("path", Targets("a[-1]", ("a.3",), 1), Target("a[-1]", "a.3")),
    ("path", {"select": "a[-1]", "path": "a.3"}, Target("a[-1]", "a.3")),
    ("path", {"select": "a", "path": None}, Target("a")),
    ("number", 1, 1.0),
    ("number", 0, 0.0),
    ("number", 0.25, 0.25),
    ("integer", 1, 1),
    ("integer", 9, 9),
    ("choice", "down", "down"),
    ("flag", True, True),
    ("text", "", ""),
    ("numbers", [], ()),
    ("numbers", [1, 0.5], (1.0, 0.5)),
    ("numbers", (-1.0,), (-1.0,)),
    ("schedule", 1, 1.0),
    ("schedule", [0, 0.5], (0.0, 0.5)),
    ("schedules", [], ()),
    ("schedules", [1, [0, 0.5]], (1.0, (0.0, 0.5))),
    ("parents", "one", (Parent("one"),)),
    ("parents", ["one", Parent("two")], (Parent("one"), Parent("two"))),
    ("parents", [{"source": "one", "fingerprint": "sha256:0"}], (Parent("one", "sha256:0"),)),
    ("found", [1, {"a": None}], Found([1, {"a": None}])),
    ("options", {}, Options()),
    ("options", "", Options()),
    ("options", {"r": 4, "on": True}, Options((("r", 4), ("on", True)))),
    ("options", "r=4, on=True, how=lycoris", Options((("r", 4), ("on", True), ("how", "lycoris")))),
    ("way", "right", "right"),
    ("perhaps", None, None),
    ("perhaps", 3, 3.0),
]

LARGE = 10**400
"""A whole number that JSON can say and float cannot."""

REFUSED: dict[str, list[Any]] = {
    "paths": [None, 7, [], ["a", 1], {}, {"select": 1}, {"select": "a", "path": "a"},
              {"select": "", "paths": ""},
              {"select": "a", "expect": 0}, {"select": "a", "expect": True}, {"select": "a", "expect": None}],
    "path": [None, 7, ["a"], {}, {"select": "a", "paths": ["a"]}, {"select": "a", "path": 1},
             {"select": "a", "expect": 1}, Targets("a").expect(2), Targets("a", ("b", "c"))],
    "number": [None, "0.5", True, float("nan"), float("inf"), -float("inf"), [0.5], LARGE],
    "integer": [None, 2.0, "2", True, [2]],
    "choice": [None, "left", "Up", "", 0, ["up"], ("up",)],
    "flag": [None, 0, 1, "true"],
    "text": [None, 7, ["a"], b"a"],
    "numbers": [None, 1.0, "12", [None], [True], [float("nan")], [float("inf")], ["1"], {}, [LARGE]],
    "schedule": [None, "1", True, [], ["1"], [[1.0]], -0.1, [0.5, -0.1], {}],
    "schedules": [None, 1.0, "1", ["1"], [None], [[]], [[1.0, [2.0]]], [3.0], [1.0, [0.0, 3.0]], {}],
    "parents": [None, 7, [7], [None], [{"fingerprint": "sha256:0"}], [{"source": "a", "name": "b"}], {}],
    "found": [None, 7, "a", True],
    "options": [None, 7, "r", "r=", "r=1, r=2", {"r": None}, {"r": [1]}, {"a b": 1}, {1: 1},
                {"r": float("nan")}],
    "way": [None, "up", 0],
    "perhaps": ["none", float("nan"), False, LARGE],
}  # fmt: skip


def test_every_kind_is_read_from_its_annotation() -> None:
    """The annotation is the kind, `| None` makes it optional, no default makes it required."""
    assert {name: spec.kind for name, spec in SPECS.items()} == {
        "paths": "paths", "path": "path", "number": "number", "integer": "integer", "choice": "choice",
        "flag": "flag", "text": "text", "numbers": "numbers",
        "schedule": "schedule", "schedules": "schedules", "parents": "parents", "found": "found",
        "options": "options", "way": "choice", "perhaps": "number",
    }  # fmt: skip
    assert [name for name, spec in SPECS.items() if spec.required] == ["paths", "path"]
    assert [name for name, spec in SPECS.items() if spec.optional] == ["perhaps"]
    assert SPECS["choice"].choices == ("up", "down")
    assert (SPECS["integer"].minimum, SPECS["integer"].maximum, SPECS["integer"].default) == (1, 9, 4)
    assert SPECS["number"].help == "a part"


def test_every_kind_is_tried() -> None:
    """The tables above leave none out."""
    assert {name for name, _, _ in FITS} == REFUSED.keys() == SPECS.keys()


@pytest.mark.parametrize(("name", "given", "expected"), FITS, ids=lambda value: str(value)[:40])
def test_what_fits_becomes_the_type(name: str, given: Any, expected: Any) -> None:
    """The value as its field's type, once and again."""
    made = coerce(SPECS[name], given, "try")
    assert made == expected and type(made) is type(expected)
    assert coerce(SPECS[name], made, "try") == expected


@pytest.mark.parametrize(
    ("name", "given"),
    [(name, given) for name, values in REFUSED.items() for given in values],
    ids=lambda value: str(value)[:40],
)
def test_what_does_not_fit_is_refused(name: str, given: Any) -> None:
    """One sentence with the operation, the field and what would fit."""
    with pytest.raises(SurgeryError) as refusal:
        coerce(SPECS[name], given, "try")
    assert str(refusal.value).startswith(f"try.{name} ")
    assert refusal.value.expected is not None and "\n" not in str(refusal.value)


BOUNDS = [
    ("number", -1e-9, "at least 0 and at most 1"),
    ("number", 1.0000001, "at least 0 and at most 1"),
    ("integer", 0, "at least 1 and at most 9"),
    ("integer", 10, "at least 1 and at most 9"),
    ("integer", LARGE, "at least 1 and at most 9"),
    ("perhaps", -0.5, "at least 0"),
]


@pytest.mark.parametrize(("name", "given", "expected"), BOUNDS, ids=lambda value: str(value)[:20])
def test_bounds_are_inclusive(name: str, given: Any, expected: str) -> None:
    """Just outside is refused with both bounds; the ends themselves are in the table of what fits."""
    with pytest.raises(SurgeryError, match=f"^try.{name} is out of bounds") as refusal:
        coerce(SPECS[name], given, "try")
    assert refusal.value.expected == expected


def test_refusal_of_a_choice_lists_the_choices() -> None:
    """The sentence names what was given and what there is."""
    with pytest.raises(SurgeryError) as refusal:
        coerce(SPECS["choice"], "left", "try")
    assert str(refusal.value) == "try.choice does not fit; got 'left', expected one of up, down."


def test_target_reads_as_its_path_once_resolved() -> None:
    """Before that as its selector."""
    assert str(Target("a[-1]")) == "a[-1]"
    assert str(Target("a[-1]", "a.3")) == "a.3"
