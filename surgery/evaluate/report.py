"""What an evaluation found, as a record and as a sentence."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

from surgery.errors import SurgeryError
from surgery.evaluate.figure import Figure, known_fields

MOST_SAID = 4
"""Figures of one task that a sentence names one by one; of more it names the worst."""


@dataclass(frozen=True)
class Report:
    """One evaluation of an edited model against the model before surgery.

    `results` are the figures, in the order of the tasks; `report["perplexity"]` is one by its name or that of
    its task. `tokens` counts the real tokens of the `examples`, 0 where they are none; `notes` are sentences
    a reader must know to trust the figures. What was not measured is not among the results.
    """

    results: tuple[Figure, ...]
    examples: int
    noun: str
    tokens: int
    seconds: float
    device: str
    data: str
    notes: tuple[str, ...] = ()

    def __getitem__(self, name: str) -> Figure:
        found = self.get(name)
        if found is None:
            raise SurgeryError(
                "no such figure was measured",
                path=name,
                expected=f"one of {', '.join(figure.name for figure in self.results)}",
                hint=f"`s.evaluate(tasks=[{name!r}])`",
            )
        return found

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and self.get(name) is not None

    def get(self, name: str) -> Figure | None:
        """The figure of this name, else the first of the task of this name; None if it was not measured."""
        named = (figure for figure in self.results if figure.name == name)
        return next(named, None) or next((figure for figure in self.results if figure.task == name), None)

    @property
    def main(self) -> Figure | None:
        """What stands for the report where there is room for one figure: the first."""
        return next(iter(self.results), None)

    @property
    def unchanged(self) -> bool:
        """Whether every figure is exactly what it was."""
        return bool(self.results) and all(figure.unchanged for figure in self.results)

    @property
    def amount(self) -> str:
        """`40 windows`, `1 image`."""
        return f"{self.examples:,} {self.noun}{'' if self.examples == 1 else 's'}"

    def __str__(self) -> str:
        where = f"({self.data}; {self.amount}, {self.seconds:.1f} s, {self.device})"
        sentence = " ".join(part for part in (", ".join(self._parts()), where) if part)
        return " ".join([f"{sentence}.", *self.notes]) if self.notes else sentence

    def _parts(self) -> list[str]:
        parts, explained = ["no change"] if self.unchanged else [], True
        for task in dict.fromkeys(figure.task for figure in self.results):
            found = [figure for figure in self.results if figure.task == task]
            if self.unchanged:
                parts += [figure_now(figure) for figure in found if figure.before is not None]
            elif len(found) > MOST_SAID:
                parts.append(_worst(task, found))
            else:
                for figure in found:
                    parts.append(f"{figure.name} {figure.text(explained=explained)}")
                    explained = explained and figure.before is None
        return parts

    def to_dict(self) -> dict[str, Any]:
        """The report as JSON values."""
        return asdict(self) | {
            "results": [figure.to_dict() for figure in self.results],
            "notes": list(self.notes),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """The report `to_dict` wrote. Raises SurgeryError for missing or unknown keys."""
        values = dict(known_fields(cls, data))
        values["results"] = tuple(Figure.from_dict(item) for item in values["results"])
        return cls(**values | {"notes": tuple(values["notes"])})


def figure_now(figure: Figure) -> str:
    """`perplexity 3.44`: a figure that did not change."""
    unit = f" {figure.unit}" if figure.unit else ""
    return f"{figure.name} {figure.after:,.{figure.decimals}f}{unit}"


def _worst(task: str, found: list[Figure]) -> str:
    sign = 1 if found[0].better == "higher" else -1
    worst = min(found, key=lambda figure: sign * figure.after)
    return f"{task}: of {len(found)} the worst is {worst.name} with {worst.text(explained=False)}"
