"""A script's steps on a model they were not made on: selectors resolved anew, and what came of it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from surgery.errors import SurgeryError
from surgery.fields import Target, Targets
from surgery.operation import Operation
from surgery.selecting import listed

if TYPE_CHECKING:
    from surgery.script import Script


def unresolved(step: Operation) -> Operation:
    """The step with the paths of its selectors forgotten; counts expected and all other fields stay."""
    changes: dict[str, Any] = {}
    for spec in step.specs:
        value = getattr(step, spec.name)
        if isinstance(value, Targets):
            changes[spec.name] = Targets(value.select, (), value.count)
        elif isinstance(value, Target):
            changes[spec.name] = Target(value.select)
    return dataclasses.replace(step, **changes)


def reselected(recorded: Sequence[Operation], made: Sequence[Operation]) -> tuple[str, ...]:
    """What each selector of `made` resolved to, beside the paths of the same step in `recorded`.

    A line per selector, such as `1 remove model.layers[20:24] → 4 modules, as recorded`.
    """
    lines: list[str] = []
    for number, (before, after) in enumerate(zip(recorded, made, strict=True), start=1):
        for select, old, new in _selectors(before, after):
            lines.append(f"{number} {after.name} {select or '(root)'} → {_said(old, new)}")
    return tuple(lines)


def _selectors(before: Operation, after: Operation) -> Iterator[tuple[str, tuple[str, ...], tuple[str, ...]]]:
    """(selector, paths in one, paths in the other) for each selector of a step."""
    for spec in after.specs:
        old, new = (getattr(step, spec.name) for step in (before, after))
        if isinstance(old, Targets) and isinstance(new, Targets):
            yield new.select, old.paths, new.paths
        elif isinstance(old, Target) and isinstance(new, Target):
            yield new.select, _paths(old), _paths(new)


def _paths(target: Target) -> tuple[str, ...]:
    return () if target.path is None else (target.path,)


def _said(old: tuple[str, ...], new: tuple[str, ...]) -> str:
    count = f"{len(new)} module{'' if len(new) == 1 else 's'}"
    if new == old:
        return f"{count}, as recorded"
    if not old:
        return f"{count}, none recorded: {listed(new)}"
    if len(new) == len(old):
        return f"{count}, others than recorded: {listed(new)}"
    return f"{count}, {len(old)} recorded: {listed(new)}"


def apply_anew(script: Script, apply: Callable[[Operation], Any]) -> None:
    """Applies every step to whatever its selectors match here; an error names the step."""
    for index, step in enumerate(script.steps):
        try:
            apply(unresolved(step))
        except SurgeryError as error:
            place = f"steps[{index}]: {error.path}" if error.path else f"steps[{index}]"
            raise SurgeryError(
                error.problem, path=place, got=error.got, expected=error.expected, hint=error.hint
            ) from None
