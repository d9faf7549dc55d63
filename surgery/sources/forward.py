"""What a model's forward asks for, and where in its config the answers stand."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from torch import nn


@dataclass(frozen=True)
class Forward:
    """The forward of a transformers model: its parameters, and whether each must be given."""

    model: nn.Module
    config: Any
    parameters: dict[str, bool]

    @classmethod
    def of(cls, model: nn.Module) -> Forward:
        """The forward of `model`, which has a config."""
        return cls(model, model.config, parameters_of(model))

    @property
    def main(self) -> list[str]:
        """The names of the principal inputs, as the class gives them."""
        named = getattr(self.model, "main_input_name", "input_ids")
        return [named] if isinstance(named, str) else list(named)

    @property
    def modalities(self) -> tuple[str, ...]:
        """What the class takes in: `text`, `image`, `audio` …."""
        named = getattr(self.model, "input_modalities", "text")
        return (named,) if isinstance(named, str) else tuple(named)

    @property
    def required(self) -> list[str]:
        """The parameters without a default."""
        return [name for name, required in self.parameters.items() if required]

    def parts(self, *names: str) -> list[Any]:
        """The configs inside the config that are called so, in the order of `names`; then the config."""
        found = [part for name in names for part in _called(self.config, name, depth=3)]
        return [*found, self.config]

    def first(self, fields: tuple[str, ...], *parts: str) -> Any:
        """The first of `fields` that is set in one of the configs called `parts`, or in the config."""
        for part in self.parts(*parts):
            for field in fields:
                value = _value(part, field)
                if value is not None:
                    return value
        return None

    def number(self, fields: tuple[str, ...], *parts: str) -> int | None:
        """Like `first`, if it is a whole number above zero."""
        value = self.first(fields, *parts)
        return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else None


def parameters_of(model: nn.Module) -> dict[str, bool]:
    """The names a forward takes, and whether each must be given; `*args` and `**kwargs` are left out."""
    try:
        known = inspect.signature(model.forward).parameters.values()
    except (TypeError, ValueError):
        return {}
    return {p.name: p.default is p.empty for p in known if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)}


def _value(config: Any, field: str) -> Any:
    try:
        return getattr(config, field, None)
    except Exception:  # fields that differ between layers are refused with an error of transformers' own
        return None


def _called(config: Any, name: str, depth: int) -> Iterator[Any]:
    """Configs at any depth that are called `name`, the nearest first."""
    nested = [
        (key, part)
        for key, part in vars(config).items()
        if hasattr(part, "to_dict") and hasattr(part, "model_type")
    ]
    yield from (part for key, part in nested if key == name)
    if depth > 1:
        for _, part in nested:
            yield from _called(part, name, depth - 1)
