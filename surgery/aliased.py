"""The further models of a script: each once, by a name that its steps use and a replay may put elsewhere."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from graph.paths import nearest
from surgery.errors import SurgeryError
from surgery.fields import Parent

if TYPE_CHECKING:
    from surgery.operation import Operation

Models = Mapping[str, Mapping[str, str | None]]
"""By name: `source` and `fingerprint`."""


def models_of(steps: Iterable[Operation]) -> list[tuple[str, str, str | None]]:
    """Name, place and fingerprint of every parent that has a name; a name for two places is refused."""
    found: dict[str, Parent] = {}
    for parent in every_parent(steps):
        if parent.alias is None:
            continue
        known = found.setdefault(parent.alias, parent)
        if known.source != parent.source:
            raise SurgeryError(
                "is the name of two models", path=parent.alias, got=f"{known.source} and {parent.source}"
            )
        if None not in (known.fingerprint, parent.fingerprint) and known.fingerprint != parent.fingerprint:
            raise SurgeryError(
                "has changed since an earlier step read it",
                path=parent.alias,
                got=parent.fingerprint,
                expected=known.fingerprint,
            )
        if known.fingerprint is None:
            found[parent.alias] = parent
    return [(alias, parent.source, parent.fingerprint) for alias, parent in found.items()]


def elsewhere(steps: Iterable[Operation], places: Mapping[str, str]) -> tuple[Operation, ...]:
    """The steps with these models at other places, by name; what they must hold stays as it was recorded."""
    steps = tuple(steps)
    known = [alias for alias, _, _ in models_of(steps)]
    for alias in places:
        if alias not in known:
            near = nearest(alias, known, 1)
            raise SurgeryError(
                "the script has no model of this name",
                path=alias,
                expected=", ".join(known) or "none: it reads no further model by name",
                hint=f"`{near[0]}=…`" if near else None,
            )
    return tuple(_moved(step, places) for step in steps)


def by_alias(data: dict[str, Any]) -> dict[str, Any]:
    """A step as plain data, with the name alone of each parent that has one."""
    parents = data.get("parents")
    if not isinstance(parents, list):
        return data
    short = [{"model": item["alias"]} if item.get("alias") else item for item in parents]
    return data | {"parents": short}


def with_models(data: Any, models: Models, where: str) -> Any:
    """A step as plain data, with place and fingerprint of each parent that it has by name."""
    parents = data.get("parents") if isinstance(data, dict) else None
    if not isinstance(parents, list):
        return data
    found = []
    for item in parents:
        if not isinstance(item, dict) or set(item) != {"model"}:
            found.append(item)
            continue
        alias = item["model"]
        if not isinstance(alias, str) or alias not in models:
            raise SurgeryError(
                "reads a model that the script does not name",
                path=where,
                got=repr(alias),
                expected=", ".join(models) or 'an entry in "models"',
            )
        found.append({**models[alias], "alias": alias})
    return data | {"parents": found}


def read_models(data: Any) -> Models:
    """The models of a script; a name that stands for another name is refused, so is what is no model."""
    if not isinstance(data, dict):
        raise SurgeryError("models is no object", got=type(data).__name__)
    for alias, item in data.items():
        where = f"models.{alias}"
        if not isinstance(item, dict) or not set(item) <= {"source", "fingerprint"}:
            raise SurgeryError(f"{where} is no model", expected="an object with source and fingerprint")
        source, fingerprint = item.get("source"), item.get("fingerprint")
        if not alias.isidentifier():
            raise SurgeryError(f"{where} has a name that cannot be given", expected="letters, digits and _")
        if not isinstance(source, str) or not isinstance(fingerprint, str | None):
            raise SurgeryError(f"{where} is no model", expected="source and fingerprint as text")
        if source in data:
            raise SurgeryError(
                f"{where} stands for another name, and names stand for places",
                got=source,
                expected="a folder",
            )
    return data


def every_parent(steps: Iterable[Operation]) -> Iterator[Parent]:
    """The further models that the steps read, in order, each as often as it is read."""
    for step in steps:
        for spec in step.specs:
            if spec.kind == "parents":
                yield from getattr(step, spec.name)


def _moved(step: Operation, places: Mapping[str, str]) -> Operation:
    changes = {
        spec.name: tuple(
            dataclasses.replace(parent, source=places.get(parent.alias or "", parent.source))
            for parent in getattr(step, spec.name)
        )
        for spec in step.specs
        if spec.kind == "parents"
    }
    return dataclasses.replace(step, **changes) if changes else step
