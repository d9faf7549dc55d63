"""Adapters made before a cut of depth: mapped to where the blocks are now, or refused."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

import surgery
from surgery import SurgeryError
from surgery.adapters.export import export
from surgery.script import step_data, step_from
from surgery.session import Session
from tests.surgery.adapters.trained import adapters_of, train
from tests.surgery.contract import MODELS
from tests.surgery.states import loads_again


@pytest.fixture
def adapter(tmp_path: Path) -> Path:
    """An adapter on the queries of blocks 0 and 2."""
    session = _session()
    session.attach("model.layers[0:3:2].self_attn.q_proj", rank=2)
    train(session.model)
    return export(session, tmp_path / "adapter")


def _session() -> Session:
    return surgery.open(*MODELS["llama"]())


@pytest.mark.parametrize(
    "cut, said", [("[1]", "was model.layers.3"), ("[1:4:2]", "layers.1.self_attn.q_proj: was model.layers.2")]
)
def test_it_asks_where_blocks_have_moved(cut: str, said: str, adapter: Path) -> None:
    """Which of two blocks is meant must be said; PEFT would take the path and say nothing."""
    session = _session()
    session.remove(f"model.layers{cut}")
    with pytest.raises(SurgeryError, match=said) as refusal:
        session.adopt([str(adapter)])
    assert 'made_for="opened"' in str(refusal.value.hint) and 'made_for="now"' in str(refusal.value.hint)


def test_it_follows_the_blocks(adapter: Path, tmp_path: Path) -> None:
    """Made for the opened model, block 2's adapter is on what was block 2; replayed and loaded the same."""
    session = _session()
    session.remove("model.layers[1]")
    session.adopt([str(adapter)], made_for="opened")
    found = adapters_of(session.model)
    assert list(found) == ["model.layers.0.self_attn.q_proj", "model.layers.1.self_attn.q_proj"]
    stored = load_file(adapter / "adapter_model.safetensors")
    second = stored["base_model.model.model.layers.2.self_attn.q_proj.lora_A.weight"]
    assert torch.equal(found["model.layers.1.self_attn.q_proj"].get_parameter("lora_A"), second)
    loads_again(session, tmp_path / "out")
    model, inputs = MODELS["llama"]()
    script = session.script.write(tmp_path / "edits.json")
    assert surgery.replay(script, model, inputs=inputs).fingerprint() == session.fingerprint()


def test_what_was_cut_gets_nothing(adapter: Path) -> None:
    """Of a block that is gone the adapter is left out; the others are where they belong."""
    session = _session()
    session.remove("model.layers[0]")
    session.adopt([str(adapter)], made_for="opened")
    assert list(adapters_of(session.model)) == ["model.layers.1.self_attn.q_proj"]


def test_paths_as_they_are(adapter: Path) -> None:
    """Made for the model of now, paths mean what they say; one that is not there is refused."""
    session = _session()
    session.remove("model.layers[0]")
    session.adopt([str(adapter)], made_for="now")
    assert list(adapters_of(session.model)) == [f"model.layers.{block}.self_attn.q_proj" for block in (0, 2)]
    session = _session()
    session.remove("model.layers[0:2]")
    with pytest.raises(SurgeryError, match="no module is called so"):
        session.adopt([str(adapter)], made_for="now")


def test_beside_another(adapter: Path) -> None:
    """Under another name it is put around the adapter that is there."""
    session = _session()
    session.attach("**.q_proj", rank=2)
    with pytest.raises(SurgeryError, match="carries an adapter already"):
        session.adopt([str(adapter)])
    session.adopt([str(adapter)], called="style")
    query = session.patient.module("model.layers.0.self_attn.q_proj")
    assert (query.name, query.base.name) == ("style", "default")  # type: ignore[union-attr]


def test_data_of_another_form_is_refused(adapter: Path) -> None:
    """A script that says something else of where modules are is refused by a sentence."""
    session = _session()
    session.remove("model.layers[1]")
    session.adopt([str(adapter)], made_for="opened")
    data = step_data(session.steps[1]) | {"moved": {"model.layers.0.self_attn.q_proj": 3}}
    with pytest.raises(SurgeryError, match="moved does not fit"):
        list(step_from(data, "steps[1]").plan(session.patient))
