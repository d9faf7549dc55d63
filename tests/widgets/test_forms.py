"""Fields in the inspector's form: values over depth are text that reads back to the same values."""

from __future__ import annotations

from typing import Any

import pytest

from surgery.registry import operation_named
from widgets.desk import Draft
from widgets.drafts import change
from widgets.forms import _field

READ: list[tuple[str, str, str, Any]] = [
    ("slerp", "t", "0.25", 0.25),
    ("slerp", "t", "0, 0.5, 1", [0, 0.5, 1]),
    ("ties", "weights", "1, 0.5", [1, 0.5]),
    ("ties", "weights", "1, [0, 1]", [1, [0, 1]]),
    ("ties", "weights", "half", "half"),
    ("slerp", "t", "[0, 1", "[0, 1"),
]


@pytest.mark.parametrize("operation, name, text, value", READ)
def test_values_over_depth_are_typed_as_text(operation: str, name: str, text: str, value: Any) -> None:
    """Numbers and lists; what is neither is kept, for the operation to refuse; what is shown reads back."""
    draft = Draft(operation, {})
    change(draft, name, text)
    assert draft.values[name] == value
    spec = next(spec for spec in operation_named(operation).specs if spec.name == name)
    shown = _field(spec, draft)
    assert (shown["kind"], shown["value"]) == ("text", text)
    change(draft, name, "")
    assert name not in draft.values or spec.required


def test_defaults_are_shown_as_they_are_typed() -> None:
    """A number, or a list of one."""
    ties = {spec.name: spec for spec in operation_named("ties").specs}
    draft = Draft("ties", {})
    assert _field(ties["densities"], draft)["value"] == "0.2"
    assert _field(ties["scale"], draft)["value"] == "1"
    assert _field(ties["weights"], draft)["value"] == ""
