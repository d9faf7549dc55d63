"""Configs: what says how a model was built, which a shell has for itself, for edits change its fields."""

import copy
from typing import Any

from graph.holders import NotCopied, object_like


def is_config(value: object) -> bool:
    """Whether `value` configures a model."""
    kind = type(value)
    if hasattr(kind, "model_type") and hasattr(kind, "to_dict"):  # to ask the object itself takes longer
        return True
    try:
        known = hasattr(value, "model_type") or hasattr(value, "max_new_tokens")
        return known and hasattr(value, "to_dict")
    except Exception:  # an object may answer to no name at all
        return False


def config_like(value: Any, memo: dict[int, Any]) -> Any:
    """A deep copy of a config; what refuses to be copied, such as a lock, is shared.

    `memo` says what stands for objects copied before, as `copy.deepcopy` has it.
    """

    def own(item: Any) -> Any:
        try:
            return copy.deepcopy(item, memo)
        except Exception:
            return item

    try:
        return copy.deepcopy(value, memo)
    except Exception:
        try:
            return object_like(value, own, lambda made: memo.__setitem__(id(value), made))
        except NotCopied:
            return value
