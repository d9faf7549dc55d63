"""What the search box finds: selectors, and text that is only the end or a part of a path."""

from __future__ import annotations

import re
from dataclasses import dataclass

from graph.nodes import ModuleGraph
from graph.paths import SelectorError, parse
from graph.select import select


@dataclass(frozen=True)
class Found:
    """The matches of a search; `read_as` is the selector it was taken for, where that is not the text."""

    paths: tuple[str, ...] = ()
    read_as: str | None = None
    problem: str | None = None


def find(text: str, graph: ModuleGraph) -> Found:
    """The paths `text` selects; if none, those of `**.<text>`; then, for a plain word, of `**.*word*`."""
    if not text:
        return Found()
    try:
        paths = select(text, graph)
        single = len(parse(text)) == 1
    except SelectorError as error:
        return Found(problem=str(error))
    if paths or not single:
        return Found(paths)
    guesses = [f"**.{text}"] + ([f"**.*{text}*"] if re.fullmatch(r"\w+", text) else [])
    for guess in guesses:
        if paths := select(guess, graph):
            return Found(paths, read_as=guess)
    return Found()
