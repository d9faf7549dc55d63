"""Several steps that were all meant for one state, as steps one after another: paths follow their modules."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from torch import nn

from graph.naming import selector_of
from graph.nodes import ModuleGraph
from graph.paths import escape
from graph.tree import walk
from surgery.errors import SurgeryError
from surgery.fields import Target, Targets
from surgery.history import State
from surgery.journal import Journal
from surgery.operation import Operation
from surgery.preview import sketch
from surgery.runs import carry_out
from surgery.script import python_of
from surgery.selecting import resolve, resolved
from surgery.session import Session

Tree = nn.Module | ModuleGraph
Follow = Callable[[str], str]
"""What a path is called now; SurgeryError where its module is no longer there."""


def together(session: Session, *steps: Operation) -> tuple[Operation, ...]:
    """The steps with the paths that each finds after those before it; all are meant for the current state.

    `remove layers[3]` and `scale layers[5]` become `remove layers[3]` and `scale layers[4]`. A module that a
    step puts in another's place is followed to, one that is gone is a SurgeryError that names the step.
    Nothing is computed and nothing changes. Raises whatever planning the steps raises.
    """
    made: list[Operation] = []
    for step in in_turn(session, steps):
        if isinstance(step, SurgeryError):
            raise step
        made.append(step)
    return tuple(made)


def in_turn(session: Session, steps: Iterable[Operation]) -> Iterator[Operation | SurgeryError]:
    """Each step as `together` makes it, one by one; of one that is refused why, and the next goes on without.

    They are planned on a sketch of the current state that is made at the first of them.
    """
    with session.lock:
        here, drawn = session.graph, sketch(session.model)
        along = session.tracing.inputs, session.opened.tokenizer
    trail = _Trail(drawn.model)
    for step in steps:
        try:
            placed = followed(step, here, trail.now, drawn.model)
            made = carry_out(placed, drawn.model, Journal(), drawn.run, *along)
        except SurgeryError as error:
            yield error
        else:
            trail.after(made)
            yield made


def all_or_none(session: Session, steps: Sequence[Operation]) -> None:
    """Applies the steps one after another; one that is refused takes those before it back, and is raised."""
    history, start = session.history, session.history.current
    made: State | None = None
    try:
        for step in steps:
            state = session.apply(step)
            made = made or state
    except BaseException:
        session.goto(start)
        if made is not None:
            history.delete(made.id)
        raise


def followed(step: Operation, here: Tree, now: Follow, there: Tree) -> Operation:
    """The step with each selector, which means modules of `here`, as one that means the same in `there`.

    It keeps its text where that still selects the same. Of one that was resolved the paths count.
    """
    changes: dict[str, Any] = {}
    for spec in step.specs:
        value = getattr(step, spec.name)
        if isinstance(value, Targets):
            old = value.paths or resolved(value, here).paths
            paths = tuple(map(now, old))
            changes[spec.name] = Targets(_text(value.select, old, paths, there), paths, value.count)
        elif isinstance(value, Target):
            was = value.path if value.path is not None else _one(value, here)
            path = now(was)
            changes[spec.name] = Target(_text(value.select, (was,), (path,), there), path)
    return dataclasses.replace(step, **changes)


def _text(select: str, old: tuple[str, ...], paths: tuple[str, ...], there: Tree) -> str:
    """The text of a selector of `paths`: `select` as it is, or for the new name of what it begins with."""
    for select_now in (select, _renamed(select, old[0], paths[0])):
        try:
            if resolve(select_now, there) == paths:
                return select_now
        except SurgeryError:
            pass
    return selector_of(paths, there)


def _renamed(select: str, old: str, path: str) -> str:
    """`layers.3.**:Linear` as `layers.2.**:Linear`, where `layers.3.mlp` has become `layers.2.mlp`."""
    one, two = old.split("."), path.split(".")
    changed = [place for place, (was, now) in enumerate(zip(one, two, strict=False)) if was != now]
    if not changed:
        return select
    before, after = (escape(".".join(parts[: changed[-1] + 1])) for parts in (one, two))
    return select.replace(before, after, 1) if select.startswith(before) else select


def _one(target: Target, here: Tree) -> str:
    paths = resolve(target.select, here)
    if len(paths) != 1:
        raise SurgeryError("one module is needed here", path=target.select, got=f"{len(paths)} matches")
    return paths[0]


class _Trail:
    """Where the modules of a state are while steps are carried out on its model."""

    def __init__(self, model: nn.Module) -> None:
        self.model = model
        self.modules = dict(walk(model))
        self.places = {path: path for path in self.modules}
        self.gone: dict[str, Operation] = {}

    def now(self, path: str) -> str:
        """The path today of what was at `path`."""
        if path in self.gone:
            raise SurgeryError(
                f"is no longer there after `{python_of(self.gone[path])}`",
                path=path,
                hint="dropping one of the two, or the other order",
            )
        return self.places[path]

    def after(self, step: Operation) -> None:
        """Follows the modules over a step that was carried out."""
        present = dict(walk(self.model))
        known = set(self.modules.values())
        now: dict[nn.Module, str] = {}
        for path, module in present.items():
            now.setdefault(module, path)
        for first, place in list(self.places.items()):
            module, there = self.modules[place], present.get(place)
            if module in now:
                self.places[first] = place if there is module else now[module]
            elif there is None or there in known:  # nothing came in its place: another has its number now
                self.gone[first] = step
                del self.places[first]
        self.modules = present
