"""Swin's windows, which a forward narrows for good: on a small image they are as large as it, and unshifted.

So a model that ran and one that was made anew differ in attributes, though they compute the same.
"""

from __future__ import annotations

from torch import nn


def narrowed(module: nn.Module) -> dict[str, int]:
    """The attributes as they are after a forward on images of the size in the config; empty if all stay."""
    size, window = (module.__dict__.get(name) for name in ("input_resolution", "window_size"))
    if not (hasattr(module, "set_shift_and_window_size") and isinstance(size, tuple | list)):
        return {}
    side = min(size)
    return {"shift_size": 0, "window_size": side} if isinstance(window, int) and side <= window else {}
