"""What an evaluation costs beside the forwards that it cannot do without.

It is held against what nothing short of recomputing less can save: two forwards per window for the first, and
one once the original's part is kept. The rest is losses, divergences and the bootstrap.
"""

import math
from typing import Any

import torch

import surgery
from benchmarks.tables import Table, ms, ratio, side_by_side
from surgery.evaluate import Evaluator, demo_text, token_windows
from surgery.evaluate.bench import BATCH

WINDOWS = 32


def tables() -> list[Table]:
    """First and second evaluation of an edited demonstration decoder against its bare forwards."""
    session = surgery.open("demo")
    session.remove("model.layers[3]")
    original, edited = session.opened.model, session.model
    windows = demo_text(session.opened.tokenizer).windows[:WINDOWS]
    examples = token_windows(windows)
    kept = Evaluator(original, examples=examples, device="cpu")

    def forwards(*models: Any) -> None:
        with torch.no_grad():
            for model in models:
                for batch in windows.split(BATCH):
                    model(batch, use_cache=False)

    found = side_by_side(
        {
            "two bare forwards": lambda: forwards(original, edited),
            "first evaluation": lambda: Evaluator(original, examples=examples, device="cpu").evaluate(
                edited, budget_s=math.inf
            ),
            "one bare forward": lambda: forwards(edited),
            "further evaluation": lambda: kept.evaluate(edited, budget_s=math.inf),
        },
        rounds=3,
    )
    against = {"first evaluation": "two bare forwards", "further evaluation": "one bare forward"}
    rows = []
    for name, seconds in found.items():
        base = against.get(name)
        rows.append((name, ms(seconds), f"{ratio(seconds, found[base])} {base}" if base else ""))
    promise = "Little more than the forwards it needs: two for the first, one for each that follows."
    title = f"Evaluation of {WINDOWS} windows of {windows.shape[1]} tokens"
    return [Table(title, promise, ("what", "median", "ratio"), tuple(rows))]
