"""Which tensors are meant where a step names some by parts of their paths."""

from __future__ import annotations

from collections.abc import Sequence


def is_meant(places: Sequence[str], only: str) -> bool:
    """Whether each word of `only` is in one of the paths of a tensor, and none of those with `!` in any.

    A tie has a word or lacks it as a whole, so that what `only` picks and what its `!` picks share nothing.
    """
    has = {word: any(word.removeprefix("!") in place for place in places) for word in only.split()}
    return all(found != word.startswith("!") for word, found in has.items())
