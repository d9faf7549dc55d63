"""Folders that libraries asked the environment for while they were imported, and that are another's now."""

from __future__ import annotations

import sys
import tempfile
from dataclasses import dataclass
from pathlib import PurePath
from types import ModuleType
from typing import Any


@dataclass(frozen=True)
class Place:
    """An attribute, of a module or of an object in one, that is a place below the mother's room."""

    attributes: dict[str, Any]
    name: str

    def move(self, old: str, new: str) -> None:
        """It is the same place below another room."""
        kept = self.attributes[self.name]
        self.attributes[self.name] = type(kept)(str(kept).replace(old, new))


def below(room: str) -> tuple[Place, ...]:
    """All that modules remember of a room: as attributes of their own, or of objects that they hold.

    huggingface_hub, for one, reads `HF_HOME` once, and those who import its constants have copies.
    """
    modules = [module for module in list(sys.modules.values()) if issubclass(type(module), ModuleType)]
    owners = [*modules, *(value for module in modules for value in _attributes(module).values())]
    found = {id(attributes): attributes for owner in owners if (attributes := _attributes(owner))}
    return tuple(
        Place(attributes, name)
        for attributes in found.values()
        for name, value in attributes.items()
        if issubclass(type(value), (str, PurePath)) and room in str(value)
    )


def move(places: tuple[Place, ...], old: str, new: str) -> None:
    """They lie below the room `new`, and so does what is temporary."""
    for place in places:
        place.move(old, new)
    tempfile.tempdir = None  # asked for anew


def _attributes(owner: object) -> dict[str, Any]:
    """As they are: some objects warn, or import, when they are asked for one."""
    try:
        found = object.__getattribute__(owner, "__dict__")
    except (AttributeError, TypeError):
        return {}
    return found if type(found) is dict else {}
