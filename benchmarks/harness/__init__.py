"""Ours beside lm-evaluation-harness: figures of the same models on the same examples, and the time."""

import argparse

from benchmarks.peers.worker import Worker
from benchmarks.tables import Table, ms, ratio

ROUNDS = 3
_LIMIT_S = 1800.0
_DIGITS = 7


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The interpreter that has lm-eval."""
    where = "benchmarks/harness/requirements.txt"
    parser.add_argument("--harness", metavar="PYTHON", help=f"harness: an interpreter with {where}")


def tables(python: str | None) -> list[Table]:
    """The figures and the times; none without an interpreter that has lm-eval."""
    if python is None:
        return []
    worker = Worker(python, "benchmarks.harness.run")
    found = worker.ask(limit_s=_LIMIT_S, rounds=ROUNDS)
    worker.stop()
    if "error" in found:
        raise SystemExit(f"lm-evaluation-harness: {found['error']}")
    return [_figures(found), _times(found)]


def _figures(found: dict[str, list[dict[str, str | float]]]) -> Table:
    rows = []
    for line in found["figures"]:
        ours, theirs = float(line["ours"]), float(line["theirs"])
        apart = abs(ours - theirs) / abs(theirs)
        rows.append(
            (
                str(line["model"]),
                str(line["figure"]),
                f"{ours:.{_DIGITS}g}",
                f"{theirs:.{_DIGITS}g}",
                f"{apart:.1e}" if apart else "0",
            )
        )
    promise = (
        "Text: every token of each held-out topic given those before it in its window, its first given a "
        "line break; the last window of a topic reaches back until it is full. Ours are windows of 256 "
        "tokens that overlap by one, theirs `max_length=255`. Choices: which of four endings of a sentence, "
        "its own, two with its words in another order and another's, is the likeliest, by its log-likelihood "
        "and by that per character; ours are functions given as tasks, which find the four side by side in a "
        "window."
    )
    header = ("model", "figure", "ours", "theirs", "relative difference")
    return Table("Figures on the same examples", promise, header, tuple(rows))


def _times(found: dict[str, dict[str, float]]) -> Table:
    times = found["seconds"]
    rows = []
    for what in ("text", "choices"):
        ours, theirs = times[f"{what}, ours"], times[f"{what}, theirs"]
        rows.append((what, ms(ours), ms(theirs), ratio(ours, theirs)))
    promise = (
        "Both models from their folders to figures, imports and the first round left out, medians of "
        f"{ROUNDS} rounds in turn, one thread, batches of 8. Ours also compares the two models and gives "
        "intervals; theirs without its bootstrap."
    )
    return Table("Whole evaluations", promise, ("task", "ours", "theirs", "ours of theirs"), tuple(rows))
