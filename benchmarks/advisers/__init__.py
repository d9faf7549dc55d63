"""How well each adviser ranks the blocks of the demonstration models by what their removal costs.

Spearman's correlation of the advice, cheap as the adviser has it, with the cost of removing each block alone,
measured. Advice is found on one half of the held-out examples, the cost on the other.
"""

import math
import random
from dataclasses import replace
from statistics import mean, stdev

from scipy.stats import spearmanr

import surgery
from benchmarks.tables import Table
from surgery.advise import Advice
from surgery.evaluate import Examples
from surgery.evaluate.blocks import block_paths

MODELS = ("demo", "demo-cnn", "demo-vit")
MOST = {"demo": 24}
"""Examples in each half where not all are taken: windows of text take long."""
DRAWS = 200
OTHERWISE: dict[str, tuple[str, dict[str, object]]] = {
    "similarity, cosine": ("similarity", {"measure": "cosine"}),
    "module_sensitivity, measured": ("module_sensitivity", {"how": "measured"}),
    "outliers, of weights": ("outliers", {"whose": "weights"}),
}
"""Rows of advisers that are asked in another way than the usual one."""


def tables() -> list[Table]:
    """One table: a row per adviser, a column per model."""
    columns = [_correlations(name) for name in MODELS]
    titles = [title for title in _asked() if any(title in found for found, _ in columns)]
    rows = [(title, *(_text(found.get(title)) for found, _ in columns)) for title in titles]
    return [
        Table(
            "Advice beside what removal costs",
            "Spearman's ρ of each adviser with the measured cost of removing each block alone, on other "
            "examples; 1 ranks the blocks as the measure does. `random`: mean and spread of draws. `last-n`: "
            "the later the cheaper.",
            (
                "adviser",
                *(f"{name}, {len(costs)} blocks" for name, (_, costs) in zip(MODELS, columns, strict=True)),
            ),
            tuple(rows),
        )
    ]


def _asked() -> dict[str, tuple[str, dict[str, object]]]:
    """Names of rows, and what is asked for each."""
    rows: dict[str, tuple[str, dict[str, object]]] = {name: (name, {}) for name in surgery.advisers()}
    rows |= OTHERWISE
    return rows | {"last-n": ("", {}), "random": ("", {})}


def _correlations(name: str) -> tuple[dict[str, tuple[float, float | None]], dict[str, float]]:
    session = surgery.open(name)
    blocks = block_paths(session.model)
    seen, unseen = _halves(session.evaluator(device="cpu").examples, MOST.get(name))
    report = session.sweep("remove", ", ".join(blocks), budget_s=math.inf, examples=unseen, device="cpu")
    costs = {path: report.scores[path] for path in blocks}
    found: dict[str, tuple[float, float | None]] = {}
    for title, (adviser, fields) in _asked().items():
        if adviser:
            try:
                advice = session.advise(adviser, None, math.inf, seen, "cpu", **fields)
            except surgery.SurgeryError:  # it has nothing to say of such a model
                continue
            if set(blocks) <= set(advice.values):
                found[title] = (_rho([_cost(advice, path) for path in blocks], costs), None)
    found["last-n"] = (_rho([-float(place) for place in range(len(blocks))], costs), None)
    draws = [
        _rho(random.Random(seed).sample(range(len(blocks)), len(blocks)), costs) for seed in range(DRAWS)
    ]
    found["random"] = (mean(draws), stdev(draws))
    return found, costs


def _cost(advice: Advice, path: str) -> float:
    """What the adviser says of a block, the lower the cheaper."""
    value = advice.values[path]
    return value if advice.low_is_cheap else -value


def _rho(said: list[float] | list[int], costs: dict[str, float]) -> float:
    return float(spearmanr(said, list(costs.values())).statistic)


def _halves(examples: Examples, most: int | None) -> tuple[Examples, Examples]:
    """Every other example, in the order in which they are visited, `most` of each."""

    def half(start: int) -> Examples:
        rows = examples.order[start::2][:most]
        taken = {what: tensor[rows] for what, tensor in examples.inputs.items()}
        of = {name: None if tensor is None else tensor[rows] for name, tensor in _beside(examples).items()}
        return replace(examples, inputs=taken, **of)

    return half(0), half(1)


def _beside(examples: Examples) -> dict[str, object]:
    return {"labels": examples.labels, "counted": examples.counted, "documents": examples.documents}


def _text(found: tuple[float, float | None] | None) -> str:
    if found is None:
        return "–"
    value, spread = found
    said = f"{value:+.2f}".replace("-", "−")
    return said if spread is None else f"{said} ± {spread:.2f}"
