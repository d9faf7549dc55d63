"""Suggestions in words: the edit by names as short as tell it apart, its cost, and the reasons for it."""

from __future__ import annotations

from collections.abc import Iterable
from statistics import median

from surgery.budget.candidates import Candidate
from surgery.evaluate.figure import Figure, number
from surgery.evaluate.sweep.colours import cost_text
from surgery.fields import Target, Targets
from surgery.operation import Operation


def paths_in(step: Operation) -> tuple[str, ...]:
    """All modules that a step names, each once."""
    found: list[str] = []
    for spec in step.specs:
        value = getattr(step, spec.name)
        if isinstance(value, Targets):
            found += value.paths
        elif isinstance(value, Target) and value.path is not None:
            found.append(value.path)
    return tuple(dict.fromkeys(found))


def short_names(paths: Iterable[str]) -> dict[str, str]:
    """By path as many of its last segments as tell all of them apart; whole paths where four would not."""
    known = list(dict.fromkeys(paths))
    for count in (1, 2, 3):
        names = {path: ".".join(path.split(".")[-count:]) for path in known}
        if len(set(names.values())) == len(known):
            return names
    return {path: path for path in known}


def words(step: Operation, names: dict[str, str]) -> str:
    """`tie 6 and 7`, `remove 3`, `narrow 2.mlp (units neurons, ratio 0.5)`."""
    said = sorted((names.get(path, path) for path in paths_in(step)), key=_natural)
    place = " and ".join(said) if len(said) < 3 else f"{', '.join(said[:-1])} and {said[-1]}"
    more = [
        f"{spec.name} {value}"
        for spec in step.specs
        if spec.kind not in ("path", "paths", "parents", "measured")
        and spec.is_asked
        and (value := getattr(step, spec.name)) != spec.default
    ]
    return f"{step.name} {place} ({', '.join(more)})" if more else f"{step.name} {place}"


def effect(figure: Figure) -> str:
    """`agreement −0.4 % ± 0.1`, `perplexity +0.39 ± 0.08`."""
    places = figure.decimals
    unit = f" {figure.unit}" if figure.unit else ""
    width = f" ± {number(figure.half_width, places)}" if figure.half_width else ""
    found = f"{figure.name} {number(figure.difference, places, signed=True)}{unit}{width}"
    return f"{found}, not measurable" if figure.no_change else found


def reasons(item: Candidate, place: int, count: int, noun: str) -> list[str]:
    """Why a measured edit is proposed: its figures, its rank, and what they were measured on."""
    report, row = item.report, next(row for row in item.report.measured if row.step is item.step)
    costs = [other.cost(report.by) for other in report.measured]
    others = [figure for figure in row.figures if figure is not item.figure]
    found = [
        f"Measured alone: {item.figure.name} {item.figure.text()}.",
        f"{_capital(_ordinal(place))} of {count} edits by what they cost for the {noun} they save.",
        f"Of {len(costs)} places where {item.step.name} was tried it is number {item.rank}; "
        f"half of them cost {cost_text(report, median(costs))} or more.",
    ]
    if others:
        told = "; ".join(f"{figure.name} {figure.text(explained=False)}" for figure in others)
        found.insert(1, f"Also measured: {told}.")
    found.append(f"On {report.examples:,} {report.noun}s of {report.data}; {report.device}.")
    return found


def _ordinal(place: int) -> str:
    return "the best" if place == 1 else f"number {place}"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _natural(name: str) -> tuple[tuple[int, str], ...]:
    """So that 10 comes after 9."""
    return tuple((int(part), "") if part.isdigit() else (-1, part) for part in name.split("."))
