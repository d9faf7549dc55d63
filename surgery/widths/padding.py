"""Padding parts with units of zeros, which lead nowhere."""

from __future__ import annotations

from collections.abc import Iterator

from surgery.edits import SetConfig
from surgery.lazy import Lazy, recipe
from surgery.model import Patient
from surgery.widths.config import config_edits
from surgery.widths.heads import heads_to_add
from surgery.widths.neurons import neurons
from surgery.widths.part import Cut, Part
from surgery.widths.registry import Units
from surgery.widths.resizing import Resizing, flat, node_of

ADDED: dict[str, Units] = {"neurons": neurons, "heads": heads_to_add}
"""The kinds of units of which zeros change nothing, by name.

A head of zeros attends to all alike, and adds a sum of zeros. An expert of zeros would take its share of the
router's softmax, and a token of zeros a share of every probability.
"""


class Padding(Resizing):
    """Each part has as many units as `left` says, the last of them zeros."""

    done = "padded"

    def __init__(self, patient: Patient, left: dict[Part, int]) -> None:
        super().__init__(patient, left)
        self.padded: dict[tuple[int, int, int, int, tuple[int, ...]], Lazy] = {}

    def resized(self, tensor: Lazy, part: Part, cut: Cut, shape: tuple[int, ...]) -> Lazy:
        more, sections = self.left[part] - part.count, flat(cut.sections)
        key = (node_of(tensor), part.count, more, cut.dim, sections)
        if key not in self.padded:
            self.padded[key] = recipe(
                "pad_units",
                tensor,
                shape=shape,
                count=part.count,
                more=more,
                dim=cut.dim,
                sections=sections,
            )
        return self.padded[key]


def too_narrow(patient: Patient, plain: Patient) -> Iterator[tuple[str, list[str], int]]:
    """(units, paths, count) of parts that must have more for a config to say how wide they are.

    `plain` is the model as its config would make it. Parts of which one figure of the config speaks get as
    many as the widest of them, if the config can say that; else, like those of which none speaks, as many as
    the config means now. Query heads that lack in a group come first.
    """
    for units, find in ADDED.items():
        parts, meant = find(patient), {part.path: part for part in find(plain)}
        known = [part for part in parts if part.path in meant]
        for part in known:
            if part.most is not None:
                yield units, [part.path], part.most
        together: dict[tuple[str, ...], list[Part]] = {}
        for part in known:
            if part.per_unit == meant[part.path].per_unit:
                together.setdefault(tuple(name for name, _ in part.config) or (part.path,), []).append(part)
        wanted: dict[int, list[str]] = {}
        for those in together.values():
            count = max(part.count for part in those)
            if not _can_be_said(patient, parts, those, count):
                count = max(count, meant[those[0].path].count)
            narrow = [part.path for part in those if part.count < count]
            wanted.setdefault(count * those[0].per_unit, []).extend(narrow)
        for count, paths in wanted.items():
            if paths:
                yield units, paths, count


def _can_be_said(patient: Patient, parts: list[Part], those: list[Part], count: int) -> bool:
    """Whether the config would say that all of `those` have `count` units."""
    names = {name for name, _ in those[0].config}
    edits = config_edits(patient, parts, dict.fromkeys(those, count))
    return bool(names) and names <= {edit.name for edit in edits if isinstance(edit, SetConfig)}
