"""A script without one of its steps: the others are carried out from the base, on their own modules."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from torch import nn

from graph.naming import selector_of
from graph.paths import is_below
from graph.tree import walk
from surgery.copies import settled
from surgery.errors import SurgeryError
from surgery.fields import Target, Targets
from surgery.journal import Journal
from surgery.model import private_shell
from surgery.operation import Operation
from surgery.runs import Live, carry_out
from surgery.script import python_of
from surgery.selecting import resolve

if TYPE_CHECKING:
    from surgery.history import State
    from surgery.session import Session

Follow = Callable[[str], str | None]
"""What a path of the recorded state is called here; None for what is not there without the step."""


@dataclass(frozen=True)
class Reverted:
    """The edited `model` without one step. `notes` say where a later step found less to do."""

    model: nn.Module
    notes: tuple[str, ...] = ()


class Reverting:
    """Makes the model of `state` without one of its steps, from the base; session and state stay as they are.

    What stands before the step is carried out once, so steps are best asked for in their order. What measures
    had found is taken as it is recorded.
    """

    def __init__(self, session: Session, state: State) -> None:
        self.states = state.lineage()
        self.steps = tuple(item.step for item in self.states if item.step is not None)
        self._along: tuple[Any, Any] = (session.tracing.inputs, session.opened.tokenizer)
        self._opened = session.opened.model
        self._before, self._done = private_shell(self._opened), 0

    def without(self, number: int) -> Reverted:
        """The model without step `number`, counted from 1.

        A later step follows its modules by their origins: what the reverted step had moved, renamed or
        wrapped is found where it is without it. SurgeryError where a later step needs what only that step
        made, or cannot be planned without it: the step cannot be reverted alone.
        """
        self._advance(number - 1)
        model, notes = private_shell(self._before), list[str]()
        origins = _origins_of(model, self.states[number - 1])
        for later in range(number + 1, len(self.states)):
            state, before = self.states[later], self.states[later - 1]
            assert state.step is not None
            follow = self._follow(number, before, model, origins)
            try:
                step, left_out = _placed(state.step, follow, model)
                carry_out(step, model, Journal(), Live(), *self._along, signs=False)
            except SurgeryError as error:
                raise SurgeryError(
                    f"Step {later} cannot be made without it: {error.sentence(with_hint=False)}"
                ) from error
            if left_out:
                notes.append(f"Step {later} is made without {left_out} of its modules, which are not there.")
            _note_new(model, origins, state)
        settled()
        return Reverted(model, tuple(notes))

    def _advance(self, count: int) -> None:
        """Carries out the first `count` steps, from the base if more are done."""
        if self._done > count:
            self._before, self._done = private_shell(self._opened), 0
        for step in self.steps[self._done : count]:
            carry_out(step, self._before, Journal(), Live(), *self._along, signs=False)
        self._done = count
        settled()

    def _follow(self, number: int, before: State, model: nn.Module, origins: dict[nn.Module, str]) -> Follow:
        """Where what has a path in the state `before` is in `model`, which lacks step `number`."""
        recorded = {place.path: place.origin for place in before.places}
        here: dict[str, list[str]] = {}
        for path, module in walk(model):
            if module in origins:
                here.setdefault(origins[module], []).append(path)

        def now(path: str) -> str | None:
            origin = recorded[path]
            old = None if origin in here else self._stood_there(number, origin)
            places = here.get(origin if old is None else old, [])
            return path if path in places else next(iter(places), None)  # one module may be at several

        return now

    def _stood_there(self, number: int, origin: str) -> str | None:
        """The origin of what a module that step `number` made replaced; None if it is an addition."""
        before, after = self.states[number - 1], self.states[number]
        made_by, _, made_at = origin.partition(":")
        if made_by != str(after.id):
            return None
        old = next((place.origin for place in before.places if place.path == made_at), None)
        still = [place.path for place in after.places if place.origin == old]
        return old if all(is_below(path, made_at) for path in still) else None


def _placed(step: Operation, now: Follow, there: nn.Module) -> tuple[Operation, int]:
    """The step on the same modules where they are `there`, and how many it has no more.

    SurgeryError where none is left of what a field names.
    """
    changes: dict[str, Any] = {}
    left_out = 0
    for spec in step.specs:
        value = getattr(step, spec.name)
        if isinstance(value, Targets):
            found = [now(path) for path in value.paths]
            paths = list(dict.fromkeys(path for path in found if path is not None))
            if not paths:
                raise _gone(step, value.paths[0])
            missing = found.count(None)
            left_out += missing
            text = _text(value.select, paths, there)
            count = None if missing else value.count
            changes[spec.name] = Targets(text, resolve(text, there), count)
        elif isinstance(value, Target) and value.path is not None:
            path = now(value.path)
            if path is None:
                raise _gone(step, value.path)
            changes[spec.name] = Target(_text(value.select, [path], there), path)
    return dataclasses.replace(step, **changes), left_out


def _text(select: str, paths: Sequence[str], there: nn.Module) -> str:
    """A selector of exactly `paths`: the text it had where that still selects them."""
    try:
        if set(resolve(select, there)) == set(paths):
            return select
    except SurgeryError:
        pass
    return selector_of(paths, there)


def _gone(step: Operation, path: str) -> SurgeryError:
    return SurgeryError(f"`{python_of(step)}` works on what it made", path=path)


def _origins_of(model: nn.Module, state: State) -> dict[nn.Module, str]:
    """Where the modules of `model`, which is as in `state`, come from."""
    origins = {place.path: place.origin for place in state.places}
    return {module: origins[path] for path, module in walk(model) if path in origins}


def _note_new(model: nn.Module, origins: dict[nn.Module, str], state: State) -> None:
    """Gives what a step has just made the origins that it has in the recorded `state`.

    They are the same modules in the same order; where they are not, none is known, and no step can mean them.
    """
    mark = f"{state.id}:"
    recorded: dict[str, str] = {}
    for place in state.places:
        if place.origin.startswith(mark):
            recorded.setdefault(place.origin, place.class_name)
    made = list(dict.fromkeys(module for _, module in walk(model) if module not in origins))
    if [type(module).__name__ for module in made] == list(recorded.values()):
        origins.update(zip(made, recorded, strict=True))
