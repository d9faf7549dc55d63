"""What an adviser found: a number per place, or one per pair of places, and the ranking that follows."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from math import isfinite
from typing import Any

from graph.units import short
from surgery.charts import Bars, Chart, Heat
from surgery.charts.names import told_apart
from surgery.scores import Scores

MOST_SHOWN, MOST_DRAWN = 24, 96
"""Lines that a printed table has; items that a chart has."""

Matrix = tuple[tuple[float, ...], ...]


@dataclass(frozen=True)
class Item:
    """A place in the model: a module, the `index`-th unit in it, or, of a tie, all its ends.

    `others` are the further paths of a tie; `index` counts heads, or experts, as `narrow` does.
    """

    path: str
    index: int | None = None
    others: tuple[str, ...] = ()

    @property
    def paths(self) -> tuple[str, ...]:
        """All paths it is about."""
        return (self.path, *self.others)

    @property
    def short(self) -> str:
        """The numbers in its path, `4.1` for the second head of block 4, or its last name."""
        numbers = re.findall(r"(?<=\.)\d+(?=\.|$)", f".{self.path}")
        parts = [*numbers, *([] if self.index is None else [str(self.index)])]
        return ".".join(parts) or self.path.rpartition(".")[2]

    def text(self, part: str = "") -> str:
        """In words: `model.layers.3`, `model.layers.3.self_attn head 2`, `model.embed_tokens = lm_head`."""
        if self.index is not None:
            return f"{self.path} {part or 'unit'} {self.index}"
        return " = ".join(path or "the model" for path in self.paths)


@dataclass(frozen=True)
class Ranked:
    """One line of a ranking: its place from 1, the item or the pair of items, and the number."""

    rank: int
    items: tuple[Item, ...]
    value: float


@dataclass(frozen=True)
class Advice:
    """What the adviser called `adviser` says of a state, by its paths.

    `numbers` has one for each of `items`; where pairs are scored it is that with the likeliest partner, and
    `matrix` has them all, symmetric. What is no number could not be scored. `part` is what an item with an
    index is called. `examples` is 0 where only weights were read. `fields` are the adviser's own.
    """

    adviser: str
    title: str
    unit: str
    source: str
    edit: str
    low_is_cheap: bool
    items: tuple[Item, ...]
    numbers: tuple[float, ...]
    matrix: Matrix | None = None
    part: str = ""
    examples: int = 0
    noun: str = "example"
    data: str = ""
    device: str = "cpu"
    seconds: float = 0.0
    fields: dict[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    together: bool = False
    """Whether an item's paths are the targets of one edit, with that flag."""

    def __len__(self) -> int:
        return len(self.items)

    @property
    def ranking(self) -> tuple[Ranked, ...]:
        """All that was scored, what is cheapest to edit first; pairs where pairs were scored."""
        if self.matrix is None:
            scored: list[tuple[tuple[Item, ...], float]] = [
                ((item,), value) for item, value in zip(self.items, self.numbers, strict=True)
            ]
        else:
            scored = [
                ((self.items[first], self.items[second]), self.matrix[first][second])
                for first in range(len(self.items))
                for second in range(first + 1, len(self.items))
            ]
        known = [entry for entry in scored if isfinite(entry[1])]
        known.sort(key=lambda entry: entry[1] if self.low_is_cheap else -entry[1])
        return tuple(Ranked(rank, items, value) for rank, (items, value) in enumerate(known, 1))

    @property
    def values(self) -> dict[str, float]:
        """The number at each path; where several were scored, that of the cheapest."""
        found: dict[str, float] = {}
        better = min if self.low_is_cheap else max
        for item, value in zip(self.items, self.numbers, strict=True):
            for path in item.paths if isfinite(value) else ():
                found[path] = better(value, found.get(path, value))
        return found

    @property
    def scores(self) -> Scores:
        """The numbers by path, to colour a graph with."""
        return Scores(self.called, self.values, self.text)

    @property
    def called(self) -> str:
        """The title within a line: `block influence`, `SNIP`."""
        return lowered(self.title)

    def text(self, value: float) -> str:
        """A number with its unit."""
        written = short(value) if abs(value) >= 1e5 else f"{value:.3g}"
        return f"{written} {self.unit}".rstrip().replace("-", "−")

    @property
    def promise(self) -> str:
        """What comes first in the ranking, in words."""
        return f"{'lowest' if self.low_is_cheap else 'highest'} first: the cheapest to {self.edit}"

    @property
    def grounds(self) -> str:
        """What it was found on: the data, how many examples, how long, where."""
        read = f"{self.data}; {self.examples:,} {self.noun}{'' if self.examples == 1 else 's'}"
        return f"{read if self.examples else 'weights alone'}, {self.seconds:.1f} s, {self.device}"

    def __str__(self) -> str:
        ranking = self.ranking
        lines = [
            (str(line.rank), " and ".join(item.text(self.part) for item in line.items), self.text(line.value))
            for line in ranking[:MOST_SHOWN]
        ]
        lines.insert(0, ("rank", "pair" if self.matrix is not None else "place", self.called))
        widths = [max(len(line[column]) for line in lines) for column in range(3)]
        drawn = [
            f"{rank:>{widths[0]}}  {place:<{widths[1]}}  {value:>{widths[2]}}" for rank, place, value in lines
        ]
        if len(ranking) > MOST_SHOWN:
            drawn.append(f"… and {len(ranking) - MOST_SHOWN} more")
        return "\n".join([*drawn, f"({self.promise}; {self.grounds})", *self.notes])

    def chart(self) -> Chart | None:
        """Bars, the cheapest marked, or a heat map of pairs; None where more was scored than one can read."""
        if len(self.items) > MOST_DRAWN or not self.ranking:
            return None
        names = tuple(item.short for item in self.items)
        if len(set(names)) < len(names):
            names = tuple(told_apart([item.text(self.part) for item in self.items]))
        if self.matrix is not None:
            rows = tuple(
                tuple(None if place == other else _plain(value) for other, value in enumerate(row))
                for place, row in enumerate(self.matrix)
            )
            return Heat(title=self.title, rows=names, columns=names, values=rows, unit=self.unit)
        known = [place for place, value in enumerate(self.numbers) if isfinite(value)]
        first = self.items.index(self.ranking[0].items[0])
        return Bars(
            title=self.title,
            labels=tuple(names[place] for place in known),
            values=tuple(self.numbers[place] for place in known),
            unit=self.unit,
            marked=(known.index(first),),
        )

    def to_dict(self) -> dict[str, Any]:
        """The advice as values of JSON; what is no number is None."""
        return {
            "adviser": self.adviser,
            "title": self.title,
            "unit": self.unit,
            "source": self.source,
            "edit": self.edit,
            "low_is_cheap": self.low_is_cheap,
            "fields": dict(self.fields),
            "part": self.part,
            "items": [
                {"path": item.path, "index": item.index, "others": list(item.others), "value": _plain(value)}
                for item, value in zip(self.items, self.numbers, strict=True)
            ],
            "matrix": None if self.matrix is None else [[*map(_plain, row)] for row in self.matrix],
            "ranking": [
                {"rank": line.rank, "items": [self.items.index(item) for item in line.items]}
                for line in self.ranking
            ],
            "examples": self.examples,
            "data": self.data,
            "device": self.device,
            "seconds": self.seconds,
            "notes": list(self.notes),
        }


def lowered(title: str) -> str:
    """A title within a line; of an abbreviation nothing is made small."""
    return title.lower() if title[1:2].islower() else title


def _plain(value: float) -> float | None:
    return value if isfinite(value) else None
