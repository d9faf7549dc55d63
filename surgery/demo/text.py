"""The demonstration corpus: Python's own reference manual, present in every CPython.

Topics are split by a hash of their name, so a topic held out under one Python version is held
out under all of them, and no sentence of it was ever trained on.
"""

import hashlib
from functools import cache
from typing import Literal

Part = Literal["train", "held-out"]
LEAST_SAID = 20
"""Characters of a paragraph that is told from others."""


def part_of(topic: str) -> Part:
    """Which part a topic belongs to; about one in eight is held out."""
    digest = hashlib.sha256(topic.encode()).digest()
    return "held-out" if digest[0] < 32 else "train"


@cache
def topics(part: Part) -> tuple[str, ...]:
    """The manual's topics of one part as texts, sorted by name, without empty ones."""
    from pydoc_data.topics import topics as manual

    return tuple(manual[name] for name in sorted(manual) if part_of(name) == part and manual[name])


@cache
def apart() -> tuple[str, ...]:
    """The topics to train on that share no paragraph with those held out.

    The manual has several sections twice, as a topic and within a longer one: whoever measures something
    before an evaluation on what is held out should not have seen those.
    """
    held_out = {paragraph for text in topics("held-out") for paragraph in _paragraphs(text)}
    return tuple(text for text in topics("train") if held_out.isdisjoint(_paragraphs(text)))


def _paragraphs(text: str) -> set[str]:
    """Those long enough to say something, in one line each."""
    found = {" ".join(part.split()) for part in text.split("\n\n")}
    return {part for part in found if len(part) >= LEAST_SAID}
