"""The demonstration corpus: Python's own reference manual, present in every CPython.

Topics are split by a hash of their name, so a topic held out under one Python version is held
out under all of them, and no sentence of it was ever trained on.
"""

import hashlib
from functools import cache
from typing import Literal

Part = Literal["train", "held-out"]


def part_of(topic: str) -> Part:
    """Which part a topic belongs to; about one in eight is held out."""
    digest = hashlib.sha256(topic.encode()).digest()
    return "held-out" if digest[0] < 32 else "train"


@cache
def topics(part: Part) -> tuple[str, ...]:
    """The manual's topics of one part as texts, sorted by name, without empty ones."""
    from pydoc_data.topics import topics as manual

    return tuple(manual[name] for name in sorted(manual) if part_of(name) == part and manual[name])
