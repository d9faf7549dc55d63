"""Whether a budget's band holds nine of ten plans that were not measured before, and how soon it is there.

Promises: of held-out plans, those of the ranking and random ones, 90 % lie within their bands; a position of
the slider is there within 50 ms.
"""

import math
import time
from collections.abc import Sequence
from itertools import islice, pairwise
from statistics import median

import surgery
from benchmarks.tables import Table, ms
from surgery.budget import Budget
from surgery.budget.budget import PLANS
from surgery.budget.candidates import Candidate
from surgery.budget.trials import drawn
from surgery.errors import SurgeryError

HELD_OUT = 60
DRAWN = 200
CASES = (
    ("demo", (("remove", "model.layers[*]", {}),)),
    ("demo", (("tie", "model.layers[*]", {}), ("remove", "model.layers[*]", {}))),
    ("demo-vit", (("tie", "vit.layers[*]", {}), ("remove", "vit.layers[*]", {}))),
    (
        "demo-cnn",
        (("narrow", "stage*.*", {"units": "channels", "ratio": 0.5}), ("remove", "stage*.*", {})),
    ),
)
"""Models and what is swept of them: the classifiers have too few blocks for many plans of one operation."""


def tables() -> list[Table]:
    """Coverage, and times."""
    held, soon = [], []
    for name, sweeps in CASES:
        session = surgery.open(name)
        for operation, select, fields in sweeps:
            session.sweep(operation, select, budget_s=0, device="cpu", **fields)
        label = f"{name}, {' and '.join(operation for operation, _, _ in sweeps)}"
        began = time.perf_counter()
        budget = session.budget(device="cpu")
        budget.plans()
        worked_s = time.perf_counter() - began
        held.append((label, *_held(budget)))
        soon.append((label, str(len(budget)), ms(worked_s), *_soon(budget)))
    total = _together(held)
    promise = (
        f"{PLANS} plans of two edits or more are measured, with them every second of the ranking's; others, "
        "which were not measured before, lie within the band foreseen for them or not. In brackets: where "
        "95 % of such counts of a band that holds nine of ten lie. Cautious is the band before any plan."
    )
    header = ("swept", "measured", "held out", "within", "the ranking's", "random", "cautious", "width")
    coverage = Table("Held-out plans within the 90 % band", promise, header, (*held, total))
    quick = "Each position in turn, once plans were worked out beside the page; promised: 50 ms."
    columns = ("swept", "positions", "working all out", "a position, median", "the slowest")
    return [coverage, Table("A position of the budget's slider", quick, columns, tuple(soon))]


def _held(budget: Budget) -> tuple[str, ...]:
    ranking = [budget.ladder.taken[:count] for count in range(2, len(budget) + 1)]
    own = set(map(_keys, ranking))
    drawn_too = islice(drawn(budget.ranked, 1, seed=1), DRAWN)
    every = {_keys(plan): plan for plan in [*ranking, *drawn_too]}
    cautious = {keys: budget.expected(plan) for keys, plan in every.items()}
    measured = {item.keys for item in budget.calibrate(math.inf, PLANS, seed=0).tried}
    fresh = [keys for keys in every if keys not in measured][:HELD_OUT]
    foreseen = {keys: budget.expected(every[keys]) for keys in fresh}
    within: dict[bool, list[bool]] = {True: [], False: []}
    careful, widths = 0, []
    for keys in fresh:
        try:
            value = budget.weigh(every[keys], budget._placed(every[keys])).after
        except SurgeryError:  # the last block of a stage cannot go: it is no plan
            continue
        within[keys in own].append(value in foreseen[keys])
        careful += value in cautious[keys]
        widths.append(foreseen[keys].high - foreseen[keys].low)
    both = [*within[True], *within[False]]
    figure = budget.ranked[0].figure
    unit = f" {figure.unit}" if figure.unit else ""
    return (
        str(len(measured)),
        str(len(both)),
        _share(both),
        _count(within[True]),
        _count(within[False]),
        f"{careful} of {len(both)}",
        f"{median(widths):.2f}{unit} of {figure.name}",
    )


def _keys(plan: Sequence[Candidate]) -> frozenset[str]:
    return frozenset(item.key for item in plan)


def _count(held: list[bool]) -> str:
    return f"{sum(held)} of {len(held)}"


def _share(held: list[bool]) -> str:
    return f"{_count(held)}, {100 * sum(held) / max(1, len(held)):.0f} % ({_expected(len(held))})"


def _expected(count: int) -> str:
    """The middle 95 % of a binomial of nine in ten."""
    below, low, high = 0.0, None, count
    for hits in range(count + 1):
        below += math.comb(count, hits) * 0.9**hits * 0.1 ** (count - hits)
        low = hits if low is None and below > 0.025 else low
        if below >= 0.975:
            high = hits
            break
    return f"{low} to {high}"


def _together(held: list[tuple[str, ...]]) -> tuple[str, ...]:
    sums = [[int(word) for word in row[3].replace(",", "").split()[:3:2]] for row in held]
    within, count = (sum(column) for column in zip(*sums, strict=True))
    return ("all", "", str(count), _share([True] * within + [False] * (count - within)), "", "", "", "")


def _soon(budget: Budget) -> tuple[str, str]:
    """How long each position takes in turn, by its amount, as a person asks for it."""
    budget.plans()  # with what was measured since
    before = budget.ladder.amount(0)
    targets = [budget.ladder.amount(count) for count in range(len(budget) + 1)]
    taken = []
    for target in [
        *targets,
        *(0.5 * (one + other) for one, other in pairwise(targets)),
    ]:
        began = time.perf_counter()
        budget.to(max(min(target, before), targets[-1]))
        taken.append(time.perf_counter() - began)

    return ms(median(taken)), ms(max(taken))
