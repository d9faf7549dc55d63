"""The table on the page of `attach` is what PEFT says."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path

from torch import nn
from transformers.pytorch_utils import Conv1D

from surgery.adapters.peft import offered
from surgery.adapters.peft.asking import Traits
from surgery.adapters.peft.kinds import fitting

PAGE = Path(__file__).parents[4] / "docs" / "operations" / "attach.md"
LAYERS = {
    "Linear": nn.Linear(16, 24),
    "Conv1D": Conv1D(24, 16),
    "Conv1d": nn.Conv1d(8, 16, 3),
    "Conv2d": nn.Conv2d(8, 16, 3),
    "Embedding": nn.Embedding(16, 24),
    "LayerNorm": nn.LayerNorm(16),
}


def table() -> str:
    """A row for each type that fits one of the layers."""
    found = {name: fitting(layer) for name, layer in LAYERS.items()}
    rows = [f"| `adapter` | {' | '.join(LAYERS)} |", "|---" * (1 + len(LAYERS)) + "|"]
    for kind in offered():
        if any(kind in types for types in found.values()):
            rows.append(f"| `{kind}` | {' | '.join(_cell(types.get(kind)) for types in found.values())} |")
    return "\n".join(rows)


def _cell(found: Traits | None) -> str:
    if found is None:
        return ""
    folds = "yes" if found.folds else "does not fold"
    return folds if found.identity else f"{folds}, changes the output"


def test_the_table_is_what_peft_says() -> None:
    """Row by row, with the PEFT that the page names; this file prints the table where it is run."""
    page = PAGE.read_text(encoding="utf-8")
    assert f"PEFT {version('peft')}" in page
    assert table() in page


if __name__ == "__main__":
    print(version("peft"))
    print(table())
