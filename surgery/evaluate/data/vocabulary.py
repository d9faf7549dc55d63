"""What a model's config says of its tokens and labels."""

from __future__ import annotations

from collections.abc import Mapping

from torch import nn


def setting(model: nn.Module, name: str) -> int | None:
    """A whole number above one in the config of the model's text part, or None."""
    config = getattr(model, "config", None)
    inner = getattr(config, "get_text_config", None)
    value = getattr(inner() if inner else config, name, None)
    return value if isinstance(value, int) and value > 1 else None


def vocabulary_size(model: nn.Module) -> int | None:
    """Entries in the vocabulary as the config has it, or None."""
    return setting(model, "vocab_size")


def class_names(model: nn.Module) -> dict[int, str] | None:
    """What the config calls its classes, by number; None where it has no names but `LABEL_0`."""
    found = getattr(getattr(model, "config", None), "id2label", None)
    if not isinstance(found, Mapping) or not found:
        return None
    names = {int(number): str(name) for number, name in found.items()}
    return None if all(name == f"LABEL_{number}" for number, name in names.items()) else names
