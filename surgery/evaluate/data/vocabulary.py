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


def positions(model: nn.Module) -> int | None:
    """The longest window that the model takes, None where nothing says so.

    RoBERTa and its kin number positions from behind the padding token: so many fewer are left.
    """
    said = setting(model, "max_position_embeddings")
    if said is None:
        return None
    learned = [getattr(module, "position_embeddings", None) for module in model.modules()]
    behind = [table.padding_idx for table in learned if isinstance(table, nn.Embedding)]
    return said - max([0, *(padding + 1 for padding in behind if padding is not None)])


def class_names(model: nn.Module) -> dict[int, str] | None:
    """What the config calls its classes, by number; None where it has no names but `LABEL_0`."""
    found = getattr(getattr(model, "config", None), "id2label", None)
    if not isinstance(found, Mapping) or not found:
        return None
    names = {int(number): str(name) for number, name in found.items()}
    return None if all(name == f"LABEL_{number}" for number, name in names.items()) else names
