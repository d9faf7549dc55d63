"""What a sweep found: a row per candidate, best first."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from graph.units import short
from surgery.errors import SurgeryError
from surgery.evaluate.figure import Figure
from surgery.fields import FieldSpec, Targets
from surgery.operation import Operation
from surgery.script import python_of, step_data, step_from

if TYPE_CHECKING:
    from surgery.evaluate.bench import Bench

TOLD_APART = 1e-5
"""Relative: what is nearer than this may be the rounding of other kernels, and shares a rank."""


@dataclass(frozen=True)
class Row:
    """One candidate: its step, parameters before and after, and its figures beside the model without it.

    `refused` is why it could not be made or measured; then there are no figures. `equal`: of one that shared
    a pass, whether a probe found its bits to be those of an evaluation of its own; None where nothing says.
    """

    step: Operation
    parameters: tuple[int, int]
    figures: tuple[Figure, ...] = ()
    refused: str | None = None
    shared: bool = False
    equal: bool | None = None

    def cost(self, name: str) -> float:
        """How much worse `name` is after the edit, in its unit; KeyError for one that was not measured."""
        figure = self._figure(name)
        return -figure.difference if figure.better == "higher" else figure.difference

    def value(self, name: str) -> float:
        """What `name` is after the edit, in its unit; KeyError for one that was not measured."""
        return self._figure(name).after

    def _figure(self, name: str) -> Figure:
        for figure in self.figures:
            if name in (figure.name, figure.task):
                return figure
        raise KeyError(name)


@dataclass(frozen=True)
class SweepReport:
    """The rows of a sweep, best first by the figure called `by`; refused candidates last.

    `equal`: whether all that shared a pass are known to be bit-equal to evaluations of their own. `stopped`:
    it was stopped, and only what was measured is here.
    """

    rows: tuple[Row, ...]
    by: str
    examples: int
    noun: str
    seconds: float
    device: str
    data: str
    equal: bool = True
    stopped: bool = False
    notes: tuple[str, ...] = field(default=())

    def __iter__(self) -> Iterator[Row]:
        return iter(self.rows)

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, place: int) -> Row:
        return self.rows[place]

    @property
    def measured(self) -> tuple[Row, ...]:
        """The rows that have figures, best first."""
        return tuple(row for row in self.rows if row.refused is None)

    @property
    def operation(self) -> str:
        """The name of the operation that was swept."""
        return self.rows[0].step.name

    @property
    def ranks(self) -> tuple[int, ...]:
        """The rank of each measured row, from 1; what can't be told apart shares one."""
        found: list[int] = []
        costs = [(row.cost(self.by), abs(row.value(self.by))) for row in self.measured]
        for place, (cost, value) in enumerate(costs):
            before, other = costs[place - 1]
            apart = cost != before and not abs(cost - before) <= TOLD_APART * min(value, other)
            found.append(place + 1 if apart or not found else found[-1])
        return tuple(found)

    @property
    def scores(self) -> dict[str, float]:
        """What each edit costs by the path it is made at, to colour the graph: `by`'s unit, higher is worse.

        A path that several edits were tried at has the least of their costs.
        """
        found: dict[str, float] = {}
        for row in self.measured:
            for path in paths_of(row.step):
                found[path] = min(row.cost(self.by), found.get(path, float("inf")))
        return found

    def best(self, count: int = 1) -> tuple[Operation, ...]:
        """The edits of the best rows, to be applied one after another to the model that was swept.

        Those that differ only in where they are made are one step, so that none moves what another names.
        Each was measured alone: together they may cost another amount. Raises SurgeryError for more than
        there are.
        """
        measured = self.measured
        if not 0 < count <= len(measured):
            raise SurgeryError("the sweep has no such number of edits", got=count, expected=len(measured))
        alike: dict[str, list[Operation]] = {}
        for row in measured[:count]:
            alike.setdefault(_without_place(row.step), []).append(row.step)
        return tuple(_joined(steps) for steps in alike.values())

    def __str__(self) -> str:
        lines = [("rank", "edit", "parameters", self.by)]
        for rank, row in zip(self.ranks, self.measured, strict=True):
            shown = next(figure for figure in row.figures if self.by in (figure.name, figure.task))
            saved = row.parameters[1] - row.parameters[0]
            change = f"{'−' if saved < 0 else '+'}{short(abs(saved))}" if saved else "0"
            lines.append((str(rank), python_of(row.step), change, shown.text(explained=False)))
        refused = (row for row in self.rows if row.refused is not None)
        lines += [("–", python_of(row.step), "", row.refused or "") for row in refused]
        widths = [max(len(line[column]) for line in lines) for column in range(3)]
        drawn = [
            f"{rank:>{widths[0]}}  {edit:<{widths[1]}}  {change:>{widths[2]}}  {rest}"
            for rank, edit, change, rest in lines
        ]
        where = f"({self.data}; {self.examples:,} {self.noun}s, {self.seconds:.1f} s, {self.device})"
        return "\n".join([*drawn, where, *self.notes])

    def to_dict(self) -> dict[str, Any]:
        """The report as JSON values."""
        return {
            "by": self.by,
            "examples": self.examples,
            "data": self.data,
            "device": self.device,
            "seconds": self.seconds,
            "notes": list(self.notes),
            "rows": [row_data(row) for row in self.rows],
        }


PREFERRED = ("accuracy", "perplexity", "KL")
"""What candidates are ranked by: the first of these that is measured."""


def ranked(
    rows: list[Row], bench: Bench, examples: int, seconds: float, *, notes: tuple[str, ...], **more: bool
) -> SweepReport:
    """The report of these rows, best first. SurgeryError where none of them could be measured."""
    figures = next((row.figures for row in rows if row.figures), ())
    if not figures:
        raise SurgeryError(
            "no edit of the sweep could be measured", got=next((row.refused for row in rows), "no edits")
        )
    names = [figure.name for figure in figures]
    by = next((name for name in PREFERRED if name in names), names[0])
    measured = sorted((row for row in rows if row.refused is None), key=lambda row: row.cost(by))
    return SweepReport(
        rows=(*measured, *(row for row in rows if row.refused is not None)),
        by=by,
        examples=examples,
        noun=bench.examples.noun,
        seconds=seconds,
        device=str(bench.device),
        data=bench.examples.label,
        notes=notes,
        **more,
    )


def paths_of(step: Operation) -> tuple[str, ...]:
    """The paths that the first module field of a step was resolved to."""
    for spec in step.specs:
        value = getattr(step, spec.name)
        if spec.kind == "paths":
            return tuple(value.paths)
        if spec.kind == "path" and value is not None:
            return (str(value),)
    return ()


def _place(step: Operation) -> FieldSpec | None:
    """The field that says where a step is made, if it takes several modules."""
    return next((spec for spec in step.specs if spec.kind == "paths" and spec.is_asked), None)


def _without_place(step: Operation) -> str:
    spec, fields = _place(step), dict(step_data(step))
    if spec is None or step.name == "merge":  # which blends its targets with one another
        return json.dumps(fields, sort_keys=True)
    return json.dumps({key: value for key, value in fields.items() if key != spec.name}, sort_keys=True)


def _joined(steps: list[Operation]) -> Operation:
    """The same edit at all their places."""
    spec = _place(steps[0])
    if len(steps) == 1 or spec is None:
        return steps[0]
    places = dict.fromkeys(path for step in steps for path in getattr(step, spec.name).paths)
    return replace(steps[0], **{spec.name: Targets(", ".join(places))})


def row_data(row: Row) -> dict[str, Any]:
    """A row as JSON values."""
    return {
        "step": step_data(row.step),
        "parameters": list(row.parameters),
        "figures": [figure.to_dict() for figure in row.figures],
        "refused": row.refused,
        "shared": row.shared,
        "equal": row.equal,
    }


def row_from(data: dict[str, Any]) -> Row:
    """The row that `row_data` wrote."""
    return Row(
        step_from(data["step"], "sweep"),
        (int(data["parameters"][0]), int(data["parameters"][1])),
        tuple(Figure.from_dict(item) for item in data["figures"]),
        data["refused"],
        bool(data["shared"]),
        data.get("equal"),
    )
