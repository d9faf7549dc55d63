"""Adapters from PEFT are carried, several as one, and written for PEFT again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel

import surgery
from surgery import SurgeryError
from surgery.adapters.export import export
from tests.surgery.merging.parents import base_model, saved, tensors
from tests.surgery.merging.test_adapters import adapter


@pytest.fixture
def made(tmp_path: Path) -> tuple[surgery.Session, dict[str, torch.Tensor]]:
    """A session that carries two adapters of other ranks and scales as one, and the weights it stands for."""
    one = adapter(tmp_path / "one", 1)
    two = adapter(
        tmp_path / "two", 2, r=8, lora_alpha=32, use_rslora=True, target_modules=["q_proj", "v_proj"]
    )
    base = saved(base_model(), tmp_path / "base")
    start = tensors(base)
    session = surgery.open(base)
    session.adopt([str(tmp_path / "one"), str(tmp_path / "two")], weights=[0.5, -1.0])
    return session, {
        key: start[key] + 0.5 * (one[key] - start[key]) - (two[key] - start[key]) for key in start
    }


def test_it_is_the_weighted_sum_of_what_they_add(
    made: tuple[surgery.Session, dict[str, torch.Tensor]],
) -> None:
    """Exactly, whatever their scales; folded in it is the model they make."""
    session, expected = made
    query = session.model.model.layers[0].self_attn.q_proj
    assert (query.rank, query.scale) == (12, 1.0)
    assert session.model.model.layers[0].self_attn.v_proj.rank == 8
    session.fold()
    for key, parameter in session.model.named_parameters():
        torch.testing.assert_close(parameter.detach(), expected[key], rtol=1e-5, atol=1e-6, msg=key)


def test_it_is_replayed_and_streamed(
    made: tuple[surgery.Session, dict[str, torch.Tensor]], tmp_path: Path
) -> None:
    """To the same bits."""
    session, _ = made
    script = session.script.write(tmp_path / "edits.json")
    assert surgery.replay(script).fingerprint() == session.fingerprint()
    surgery.replay(script, None, tmp_path / "out", memory="50MB")
    assert surgery.open(tmp_path / "out").fingerprint() == session.fingerprint()


def test_peft_loads_what_is_exported(
    made: tuple[surgery.Session, dict[str, torch.Tensor]], tmp_path: Path
) -> None:
    """Ranks of modules of their own included; folded in by PEFT it is the same model."""
    session, expected = made
    out = export(session, tmp_path / "adapter")
    peft: Any = PeftModel.from_pretrained(base_model(), str(out))
    folded = peft.merge_and_unload()
    for key, parameter in folded.named_parameters():
        torch.testing.assert_close(parameter.detach(), expected[key], rtol=1e-5, atol=1e-6, msg=key)
    with pytest.raises(SurgeryError, match="exists and is not empty"):
        export(session, out)
    session.undo()
    with pytest.raises(SurgeryError, match="carries no adapter"):
        export(session, tmp_path / "other")


def test_what_does_not_add_up_is_refused(tmp_path: Path) -> None:
    """DoRA, no adapters, modules that carry one already, other modules."""
    adapter(tmp_path / "dora", 1, use_dora=True)
    adapter(tmp_path / "plain", 1)
    base = saved(base_model(), tmp_path / "base")
    session = surgery.open(base)
    with pytest.raises(SurgeryError, match="is a DoRA adapter, whose magnitudes do not add up"):
        session.adopt([str(tmp_path / "dora")])
    with pytest.raises(SurgeryError, match="is no adapter"):
        session.adopt([str(base)])
    with pytest.raises(SurgeryError, match=r"got 1 adapters, 2 weights"):
        session.adopt([str(tmp_path / "plain")], weights=[1.0, 2.0])
    with pytest.raises(SurgeryError, match="the adapters have nothing for these modules"):
        session.adopt([str(tmp_path / "plain")], targets="lm_head")
    session.adopt([str(tmp_path / "plain")], targets="model.layers[0]")
    with pytest.raises(SurgeryError, match="carries an adapter already"):
        session.adopt([str(tmp_path / "plain")])
