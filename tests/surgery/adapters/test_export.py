"""What is exported, PEFT loads, and its model computes the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel

import surgery
from surgery import SurgeryError
from surgery.adapters.export import export
from surgery.quiet import quiet
from tests.surgery.adapters.trained import train
from tests.surgery.contract import MODELS
from tests.surgery.states import run

CASES: dict[str, list[tuple[str, str, dict[str, Any]]]] = {
    "rsLoRA": [("llama", "**.{q,v}_proj", {"adapter": "rslora", "rank": 3, "alpha": 5.0})],
    "DoRA": [("llama", "**.{q,v}_proj", {"adapter": "dora", "rank": 3})],
    "DoRA, transposed": [("gpt2", "**.c_attn", {"adapter": "dora", "rank": 3})],
    "ShareLoRA": [("llama", "**.{q,v}_proj", {"adapter": "sharelora", "share": "a", "rank": 3})],
    "(IA)³": [
        ("llama", "**.v_proj", {"adapter": "ia3"}),
        ("llama", "**.down_proj", {"adapter": "ia3", "side": "input"}),
    ],
    "(IA)³, transposed": [("gpt2", "**.c_attn", {"adapter": "ia3"})],
    "other ranks": [("llama", "**.q_proj", {"rank": 3}), ("llama", "**.v_proj", {"rank": 2, "alpha": 7.0})],
    "LoRA and rsLoRA": [("llama", "**.q_proj", {}), ("llama", "**.v_proj", {"adapter": "rslora"})],
    "an embedding": [("qwen2", "model.embed_tokens, **.q_proj", {"rank": 3})],
}


@pytest.mark.parametrize("steps", CASES.values(), ids=CASES)
def test_peft_computes_the_same(steps: list[tuple[str, str, dict[str, Any]]], tmp_path: Path) -> None:
    """The logits of PEFT's model with the exported adapter are those of the session."""
    name = steps[0][0]
    session = surgery.open(*MODELS[name]())
    for _, targets, fields in steps:
        session.attach(targets, **fields)
    train(session.model)
    base, inputs = MODELS[name]()
    with quiet():
        theirs: Any = PeftModel.from_pretrained(base, export(session, tmp_path / "out")).eval()
    wanted = run(session.model, inputs)
    assert torch.allclose(run(theirs, inputs), wanted, atol=1e-5)
    assert not torch.allclose(run(MODELS[name]()[0], inputs), wanted, atol=1e-3)


def test_convolutions(tmp_path: Path) -> None:
    """Of a model of no transformers class as well, and of one adapter of two, at its strength."""
    session = surgery.open(*MODELS["cnn"]())
    session.attach("stem[0], stage1[*].conv2", rank=2, called="style")
    session.attach("stem[0]", rank=2)
    train(session.model)
    session.activate("style", strengths=[0.5])
    with pytest.raises(SurgeryError, match="several names"):
        export(session, tmp_path / "out")
    base, inputs = MODELS["cnn"]()
    with quiet():
        theirs: Any = PeftModel.from_pretrained(base, export(session, tmp_path / "out", "style")).eval()
    assert torch.allclose(run(theirs, inputs), run(session.model, inputs), atol=1e-5)


REFUSED = [
    ([("**.q_proj", {"adapter": "mole"})], "no word for"),
    ([("**.q_proj", {"adapter": "s2lora"})], "no word for"),
    ([("**.q_proj", {"adapter": "ia3"}), ("**.v_proj", {})], "holds one kind"),
]


@pytest.mark.parametrize("steps, said", REFUSED)
def test_refused(steps: list[tuple[str, dict[str, Any]]], said: str, tmp_path: Path) -> None:
    """What PEFT's format cannot say is refused, and no folder is left."""
    session = surgery.open(*MODELS["llama"]())
    for targets, fields in steps:
        session.attach(targets, **fields)
    with pytest.raises(SurgeryError, match=said):
        export(session, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_one_adapter_at_two_paths_is_refused(tmp_path: Path) -> None:
    """PEFT would put it at the first path alone."""
    model = torch.nn.ModuleDict({"a": torch.nn.Linear(2, 2)})
    model["b"] = model["a"]
    session = surgery.open(model)
    session.attach("a", ties="shared")
    with pytest.raises(SurgeryError, match="one adapter at several paths"):
        export(session, tmp_path / "out")
