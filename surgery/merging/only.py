"""Which tensors a merge is about, by words in their paths."""

from __future__ import annotations

from collections.abc import Sequence


def is_meant(places: Sequence[str], only: str) -> bool:
    """Whether one of the paths of a tensor has every word of `only` in it, and none of those with `!`."""
    words = only.split()
    wanted = [word for word in words if not word.startswith("!")]
    refused = [word[1:] for word in words if word.startswith("!")]
    return any(
        all(word in place for word in wanted) and not any(word in place for word in refused)
        for place in places
    )
