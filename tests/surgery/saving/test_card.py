"""The card in a saved folder: edits, figures, how it loads and why."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import surgery
from surgery import Session
from tests.zoo.families import DECODERS


@pytest.fixture
def tied() -> Session:
    """A small Llama with two blocks tied and an adapter that does something, measured."""
    session = surgery.open(*DECODERS["llama"]())
    session.tie("model.layers.1", to="model.layers.0")
    session.attach("model.layers.2.self_attn.q_proj", rank=2)
    adapter: Any = session.model.get_submodule("model.layers.2.self_attn.q_proj")
    adapter.lora_B = nn.Parameter(
        torch.randn(adapter.lora_B.shape, generator=torch.Generator().manual_seed(0))
    )
    session.history.current.report = "perplexity 2 → 3"  # type: ignore[assignment]
    return session


def figures(text: str) -> tuple[int, int]:
    """Parameters and bytes as the card says them."""
    found = re.search(r"^([\d,]+) parameters, ([\d,]+) bytes", text, re.MULTILINE)
    assert found is not None
    return int(found[1].replace(",", "")), int(found[2].replace(",", ""))


def counted(model: nn.Module) -> tuple[int, int]:
    """Parameters and bytes of what is there, buffers included, tied ones once."""
    parameters = sum(parameter.numel() for parameter in model.parameters())
    tensors = [*model.parameters(), *model.buffers()]
    return parameters, sum(tensor.nbytes for tensor in tensors)


def test_a_folder_that_needs_surgery(tied: Session, tmp_path: Path) -> None:
    """What was done, what was measured, how it loads, and why not otherwise."""
    card = (tied.save(tmp_path / "out") / "README.md").read_text()
    assert 's.tie("model.layers.1", to="model.layers.0")\ns.attach(' in card
    assert "s.untie" not in card
    assert "## Measured\n\nperplexity 2 → 3\n" in card
    assert "With `surgery.load(folder)`, since model.layers" in card and "from_pretrained" not in card
    assert "plain=True" in card
    assert figures(card) == counted(tied.model)


def test_a_folder_made_plain(tied: Session, tmp_path: Path) -> None:
    """The figures are those of the model in it; what was measured before is said to be so."""
    folder = tied.save(tmp_path / "out", plain=True)
    card = (folder / "README.md").read_text()
    steps = r'`s\.untie\("model\.layers\.1"\)` and `s\.fold\("\*\*"\)`'
    assert re.search(rf"An ordinary transformers model.*\n\nIt was made one by {steps}", card)
    said = re.search(
        r"differ from those of the edited model by at most (\S+) of the largest output; up to (\S+) was", card
    )
    assert (
        said is not None and 0 < float(said[1]) < 1e-5 and float(said[2]) == pytest.approx(2**-11.5, rel=0.05)
    )
    assert "Before it was made an ordinary model:\n\nperplexity 2 → 3\n" in card
    assert "surgery.load" not in card
    assert figures(card) == counted(surgery.load(folder)) != counted(tied.model)


def test_an_ordinary_folder(tmp_path: Path) -> None:
    """One sentence, and that nothing was measured."""
    session = surgery.open(*DECODERS["llama"]())
    session.remove("model.layers.3")
    card = (session.save(tmp_path / "out") / "README.md").read_text()
    assert "## Measured\n\nNot evaluated.\n\n## Loading\n" in card
    assert card.endswith("\n\nAn ordinary transformers model: `from_pretrained` loads it.\n")
    assert figures(card) == counted(session.model)


def test_a_module_of_ones_own(tmp_path: Path) -> None:
    """Its own code has to make it: the call says so."""
    session = surgery.open(nn.Sequential(nn.Linear(2, 2)), (torch.zeros(1, 2),))
    card = (session.save(tmp_path / "out") / "README.md").read_text()
    assert "`surgery.load(folder, into=module)`" in card and "Sequential is no transformers model" in card
    assert "plain=True" not in card and "# none" in card
