"""Folders that PEFT wrote of other types than LoRA."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from torch import nn

import surgery
from surgery import SurgeryError
from surgery.adapters.export import export
from surgery.script import Script
from tests.surgery.adapters.peft.models import attached
from tests.surgery.adapters.trained import adapters_of, train


def written(folder: Path) -> Path:
    """LoHa on both layers of a pair, with values of its own and a rank that is no default."""
    session, _ = attached("Linear", "peft:loha", rank=3, alpha=5.0)
    train(session.model)
    return export(session, folder / "loha")


def test_options_come_with_it_and_the_step_replays(tmp_path: Path) -> None:
    """Rank and alpha are those of the folder; the script names it with its fingerprint and finds it again."""
    folder = written(tmp_path)
    session, x = attached("Linear", None)
    session.adopt([str(folder)], targets="net.b", called="style")
    (adapter,) = adapters_of(session.model).values()
    assert adapter.name == "style" and adapter.kind == "peft:loha"
    assert tuple(adapter.get_parameter("hada_w1_a").shape) == (256, 3)
    again, _ = attached("Linear", None)
    for step in Script.from_json(session.script.to_json()).steps:
        again.apply(step)
    assert torch.equal(again.model(x), session.model(x))


def test_another_content_is_refused(tmp_path: Path) -> None:
    """A step that was recorded with the folder notices that it is another one now."""
    folder = written(tmp_path)
    session, _ = attached("Linear", None)
    session.adopt([str(folder)])
    place = folder / "adapter_config.json"
    place.write_text(json.dumps(json.loads(place.read_text()) | {"alpha": 6}))
    again, _ = attached("Linear", None)
    with pytest.raises(SurgeryError, match="is not the one that was recorded"):
        again.apply(session.steps[0])


def test_refused(tmp_path: Path) -> None:
    """Weights, settings for single modules, other shapes and merges: each with a sentence."""
    folder = written(tmp_path)
    session, _ = attached("Linear", None)
    with pytest.raises(SurgeryError, match="of a type that has no weight"):
        session.adopt([str(folder)], weights=[0.5])
    with pytest.raises(SurgeryError, match="is an adapter of another kind"):
        session.task_arithmetic("**", parents=[str(folder)])
    small = surgery.open(nn.ModuleDict({"net": nn.ModuleDict({"a": nn.Linear(4, 4), "b": nn.Linear(4, 4)})}))
    with pytest.raises(SurgeryError, match="does not fit the model: hada_w1_a") as refusal:
        small.adopt([str(folder)])
    assert refusal.value.path == "net.a"
    place = folder / "adapter_config.json"
    place.write_text(json.dumps(json.loads(place.read_text()) | {"rank_pattern": {"net.a": 2}}))
    with pytest.raises(SurgeryError, match="has a rank_pattern"):
        session.adopt([str(folder)])
    assert not session.steps
