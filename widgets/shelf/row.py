"""One parent on the shelf: where it lies, whether it was read, how it fits, what it weighs."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from surgery.checkpoint.adapter import Adapter
from surgery.checkpoint.tensors import Checkpoint
from surgery.errors import SurgeryError
from surgery.fields import Parent
from surgery.merging.fit import Fit
from widgets.shelf.curves import Curve

Status = Literal["reading", "ready", "refused"]
_ON_HUB = re.compile(r"[\w-][\w.-]*/[\w.-]+(@[\w./-]+)?")


@dataclass
class Row:
    """A parent by its alias: whether it `counts` in the step, and whether its curve was set (`weighed`)."""

    alias: str
    source: str
    curve: Curve = (0.5,)
    weighed: bool = False
    status: Status = "reading"
    counts: bool = True
    found: Checkpoint | Adapter | None = None
    fit: Fit | None = None
    error: SurgeryError | None = None

    @property
    def is_adapter(self) -> bool:
        """Whether it is an adapter on this model, not a model of its own."""
        return isinstance(self.found, Adapter) and self.found.base is None

    @property
    def parent(self) -> Parent:
        """As a step names it."""
        return Parent(self.source, alias=self.alias)

    def fits(self, path: str) -> bool:
        """Whether the part at `path` can be merged with its own."""
        return self.fit is not None and path not in self.fit.refused


def place_of(text: str) -> str:
    """A folder as it was typed, or the place on the hub that `OWNER/NAME` means where no such folder is."""
    text = text.strip()
    if not text:
        raise SurgeryError("a parent needs a place", expected="a folder, or OWNER/NAME on the hub")
    try:
        there = Path(text).expanduser().exists()
    except (OSError, ValueError, RuntimeError):
        there = False
    return f"hf://{text}" if not there and _ON_HUB.fullmatch(text) else text


def alias_of(text: str, source: str, taken: Collection[str]) -> str:
    """The name a person chose, or one made from the place; SurgeryError for one that is none, or taken."""
    text = text.strip()
    if text:
        if not text.isidentifier():
            raise SurgeryError(
                "is no name for a parent", path=text, expected="letters, digits and _, no digit first"
            )
        if text in taken:
            raise SurgeryError("there is a parent of this name already", path=text, hint="another name")
        return text
    last = source.rstrip("/").rpartition("/")[2].partition("@")[0]
    made = re.sub(r"\W+", "_", last).strip("_") or "parent"
    made = made if made.isidentifier() else f"p_{made}"
    names = (made, *(f"{made}_{number}" for number in range(2, len(taken) + 3)))
    return next(name for name in names if name not in taken)
