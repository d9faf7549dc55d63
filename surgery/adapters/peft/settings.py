"""The options of a PEFT type: the fields of its configuration, held against what a step gives."""

from __future__ import annotations

import json
import types
import typing
from dataclasses import MISSING, fields
from functools import cache
from typing import Any

from graph.paths import nearest
from surgery.adapters.kinds.kind import Settings
from surgery.adapters.peft.names import PREFIX
from surgery.errors import SurgeryError
from surgery.fields import Scalar

_WHERE = frozenset(
    (
        *("target_modules", "exclude_modules", "layers_to_transform", "layers_pattern", "modules_to_save"),
        *("target_parameters", "rank_pattern", "alpha_pattern", "layer_replication", "bias"),
    )
)
"""Fields that say which modules of a model are meant, or train others beside them."""


@cache
def options_of(kind: str) -> dict[str, tuple[Any, Any]]:
    """The fields that a step may give for a type, with their annotations and defaults; scalars alone."""
    from peft import PeftConfig
    from peft.mapping import PEFT_TYPE_TO_CONFIG_MAPPING

    settings: Any = PEFT_TYPE_TO_CONFIG_MAPPING.get(kind)
    if settings is None:
        return {}
    common = {item.name for item in fields(PeftConfig)} | _WHERE
    hints = typing.get_type_hints(settings)
    return {
        item.name: (hints[item.name], item.default if item.default is not MISSING else None)
        for item in fields(settings)
        if item.init and item.name not in common and _scalars(hints[item.name])
    }


@cache
def defaults_of(kind: str) -> dict[str, Any]:
    """All fields of a type's configuration but those that every one has, with their defaults."""
    from peft import PeftConfig
    from peft.mapping import PEFT_TYPE_TO_CONFIG_MAPPING

    common = {item.name for item in fields(PeftConfig)}
    found: dict[str, Any] = {}
    for item in fields(PEFT_TYPE_TO_CONFIG_MAPPING[kind]):
        if item.name not in common:
            made = item.default_factory() if item.default_factory is not MISSING else item.default
            found[item.name] = None if made is MISSING else made
    return found


def rank_field(kind: str) -> str | None:
    """The field that a rank is given in: `r` where PEFT has one that is a number by default."""
    default = options_of(kind).get("r", (None, None))[1]
    return "r" if isinstance(default, int) and not isinstance(default, bool) and default > 0 else None


def alpha_field(kind: str) -> str | None:
    """The field that an alpha is given in: the only one called `alpha`, or something with `_alpha` behind."""
    found = [
        name
        for name, (hint, _) in options_of(kind).items()
        if (name == "alpha" or name.endswith("_alpha")) and {int, float} & set(_parts(hint))
    ]
    return found[0] if len(found) == 1 else None


def spec_of(kind: str, settings: Settings) -> str:
    """The type with all that a step says of it, as JSON; SurgeryError for what its configuration has not."""
    given: dict[str, Scalar] = {}
    if name := rank_field(kind):
        given[name] = settings.rank
    if (name := alpha_field(kind)) and settings.alpha is not None:
        whole = settings.alpha.is_integer() and float not in _parts(options_of(kind)[name][0])
        given[name] = int(settings.alpha) if whole else settings.alpha
    known = options_of(kind)
    for name, value in settings.options.items:
        if name not in known:
            near = nearest(name, list(known), 1)
            raise SurgeryError(
                "says where, which is what `targets` does" if name in _WHERE else "is no option of this type",
                path=f"options.{name}",
                got=PREFIX + kind.lower(),
                expected=f"one of {', '.join(known)}" if known else "none",
                hint=f"`{near[0]}`" if near else None,
            )
        hint = known[name][0]
        if not _fits(value, hint):
            raise SurgeryError("does not fit", path=f"options.{name}", got=repr(value), expected=_words(hint))
        if (
            name in given
            and given[name] != value
            and name == rank_field(kind)
            and settings.rank != Settings().rank
        ):
            raise SurgeryError("is said twice", path=f"options.{name}", got=value, expected=given[name])
        given[name] = float(value) if isinstance(value, int) and _parts(hint) == (float,) else value
    return json.dumps({"type": kind, "options": given}, sort_keys=True)


def _parts(hint: Any) -> tuple[Any, ...]:
    """The alternatives of an annotation; a Literal's are its values."""
    origin = typing.get_origin(hint)
    if origin in (typing.Union, types.UnionType):
        return tuple(part for item in typing.get_args(hint) for part in _parts(item))
    if origin is typing.Literal:
        return typing.get_args(hint)
    return (hint,)


def _scalars(hint: Any) -> bool:
    return any(part in (bool, int, float, str) or isinstance(part, str | bool) for part in _parts(hint))


def _fits(value: Scalar, hint: Any) -> bool:
    for part in _parts(hint):
        if isinstance(part, type):
            plain = isinstance(value, part) and (part is bool or not isinstance(value, bool))
            if plain or (part is float and isinstance(value, int) and not isinstance(value, bool)):
                return True
        elif type(part) is type(value) and part == value:
            return True
    return False


def _words(hint: Any) -> str:
    parts = [part for part in _parts(hint) if part is not type(None)]
    return " or ".join(
        part.__name__ if isinstance(part, type) else json.dumps(part)
        for part in parts
        if isinstance(part, type | str | bool | int)
    )
