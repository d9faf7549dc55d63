"""Ways to choose ranks, on the demonstration decoder: parameters against perplexity.

Promises: at every size, ranks by distortion cost no more than by relative energies, these than by absolute.
"""

from __future__ import annotations

from typing import Any

import torch

import surgery
from benchmarks.tables import Table
from surgery.demo.text import topics

TARGETS = "model.layers[*].**:Linear"
WINDOWS, WIDTH = 32, 256
"""Held-out windows that are evaluated, and bytes of each."""
SIZES = (0.2, 0.3, 0.4, 0.5, 0.6, 0.7)
WAYS: dict[str, list[dict[str, Any]]] = {
    "one rank": [{"rank": rank} for rank in (16, 24, 32, 40, 48)],
    "energy": [{"energy": part} for part in (0.7, 0.8, 0.85, 0.9, 0.95)],
    "absolute": [{"size": size, "spread": "absolute"} for size in SIZES],
    "relative": [{"size": size} for size in SIZES],
    "distortion": [{"size": size, "spread": "distortion", "samples": 2} for size in SIZES],
}


def tables() -> list[Table]:
    """Perplexity on the held-out text after each way, and the parameters that are left."""
    session = surgery.open("demo")
    text = "".join(topics("train")).encode()[: 2 * WIDTH]
    session.data = [{"input_ids": torch.tensor(list(text)).view(2, WIDTH)}]
    examples = session.evaluator().examples.first(WINDOWS)
    whole = sum(parameter.numel() for parameter in session.model.parameters())
    rows = []
    for way, all_fields in WAYS.items():
        for fields in all_fields:
            session.low_rank(TARGETS, **fields)
            left = sum(parameter.numel() for parameter in session.model.parameters())
            found = session.evaluate(1e9, examples, tasks=["perplexity"])["perplexity"]
            value = next(value for value in fields.values())
            rows.append((way, f"{value:g}", f"{left:,}", f"{found.after:.3f}"))
            print(*rows[-1], flush=True)
            session.undo()
    rows.append(("before", "", f"{whole:,}", f"{found.before:.3f}"))
    return [
        Table(
            "Linear layers of low rank",
            f"All linear layers of the blocks of the demonstration decoder, {WINDOWS} held-out windows.",
            ("ranks by", "value", "parameters left", "perplexity"),
            tuple(rows),
        )
    ]
