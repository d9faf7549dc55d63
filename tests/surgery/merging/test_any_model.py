"""Merges are of any architecture: structure comes from the model and not from a list."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

import surgery
from surgery.checkpoint.manifest import read_manifest
from surgery.quiet import quiet
from tests.surgery.states import run
from tests.zoo import ATLAS
from tests.zoo.families import DECODERS, ENCODERS, STAGES, TOWERS, TRANSLATORS

MODELS = ATLAS | DECODERS | ENCODERS | STAGES | TOWERS | TRANSLATORS
NAMES = ["bert", "clip", "convnext", "gpt2", "mixtral", "resnet", "swin", "t5", "vit", "whisper"]


def two(name: str, folder: Path) -> tuple[Path, str]:
    """A model and one that was tuned from it, as transformers saves them."""
    torch.manual_seed(0)
    model: Any = MODELS[name]()[0]
    with quiet(), torch.no_grad():
        model.save_pretrained(folder / "base")
        for tensor in (*model.parameters(), *model.buffers()):
            if tensor.is_floating_point():
                tensor.mul_(1 + 0.1 * torch.rand_like(tensor))
        model.save_pretrained(folder / "tuned")
    return folder / "base", str(folder / "tuned")


@pytest.mark.parametrize("name", NAMES)
def test_it_merges_runs_and_streams(name: str, tmp_path: Path) -> None:
    """With another of its kind: by arcs and by elected signs, saved, loaded, and piece by piece the same."""
    base, tuned = two(name, tmp_path)
    session = surgery.open(base)
    if name == "resnet":
        with pytest.raises(surgery.SurgeryError, match="holds running statistics"):
            session.slerp("", parents=[tuned])
    session.slerp("", parents=[tuned], t=[0.2, 0.8], statistics="average")
    session.ties("", parents=[tuned], only="weight", densities=[0.5], statistics="keep")
    assert session.graph.problem is None
    live = session.save(tmp_path / "live")
    loaded = surgery.load(live)
    if session.opened.inputs is not None:
        assert torch.isfinite(run(loaded, session.opened.inputs)).all()
    script = session.script.write(tmp_path / "edits.json")
    surgery.replay(script, base, tmp_path / "streamed", memory="50MB")
    assert read_manifest(tmp_path / "streamed") == read_manifest(live)
