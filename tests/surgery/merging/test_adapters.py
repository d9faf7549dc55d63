"""Adapters in PEFT's format are parents: merged, they are what PEFT itself folds in."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model

import surgery
from surgery import SurgeryError
from surgery.quiet import quiet
from tests.surgery.merging.parents import base_model, saved, tensors, tuned

TARGETS = ["q_proj", "down_proj"]


def adapter(
    folder: Path, seed: int, name: str = "llama", base: Any = None, **settings: Any
) -> dict[str, Any]:
    """Saves an adapter with random factors; gives the weights that PEFT makes of the model with it."""
    model = base_model(name) if base is None else base
    torch.manual_seed(seed)
    config = LoraConfig(**{"r": 4, "lora_alpha": 6, "target_modules": TARGETS} | settings)
    made: Any = get_peft_model(model, config)
    with torch.no_grad():
        for key, parameter in made.named_parameters():
            if "lora_" in key and "magnitude" not in key:
                parameter.copy_(torch.randn_like(parameter) * 0.1)
            elif "magnitude" in key:
                parameter.mul_(1 + 0.3 * torch.rand_like(parameter))
    with quiet():
        made.save_pretrained(folder)
        folded = made.merge_and_unload()
    return {key: parameter.detach().clone() for key, parameter in folded.named_parameters()}


KINDS: dict[str, tuple[str, dict[str, Any]]] = {
    "plain": ("llama", {}),
    "rank-stabilised": ("llama", {"use_rslora": True}),
    "DoRA": ("llama", {"use_dora": True}),
    "DoRA, rank-stabilised": ("llama", {"use_dora": True, "use_rslora": True}),
    "ranks and alphas of their own": (
        "llama", {"rank_pattern": {"layers.1.self_attn.q_proj": 2}, "alpha_pattern": {"down_proj": 3}},
    ),
    "an embedding": ("llama", {"target_modules": ["embed_tokens", "q_proj"]}),
    "inputs × outputs": ("gpt2", {"target_modules": ["c_attn"], "fan_in_fan_out": True}),
    "DoRA, inputs × outputs": (
        "gpt2", {"target_modules": ["c_attn", "c_proj"], "fan_in_fan_out": True, "use_dora": True},
    ),
}  # fmt: skip


@pytest.mark.parametrize("name, settings", KINDS.values(), ids=KINDS)
def test_it_becomes_part_of_the_model_as_with_peft(
    name: str, settings: dict[str, Any], tmp_path: Path
) -> None:
    """By any merge that takes the parent whole."""
    expected = adapter(tmp_path / "adapter", 1, name, **settings)
    base = saved(base_model(name), tmp_path / "base")
    session = surgery.open(base)
    if "embed_tokens" in settings.get("target_modules", ()):
        session.untie("lm_head")  # PEFT changes both ends
    session.merge("", parents=[str(tmp_path / "adapter")], weights=[0.0, 1.0])
    changed = 0
    for key, parameter in session.model.named_parameters():
        if key not in expected:
            continue
        torch.testing.assert_close(parameter.detach(), expected[key], rtol=1e-5, atol=1e-6, msg=key)
        changed += not torch.equal(parameter.detach(), tensors(base).get(key, parameter.detach()))
    assert changed


def test_several_are_task_vectors(tmp_path: Path) -> None:
    """Added with weights, a negative one too: where their scales differ, what they add is what counts."""
    one = adapter(tmp_path / "one", 1)
    two = adapter(tmp_path / "two", 2, r=8, lora_alpha=32, use_rslora=True)
    base = saved(base_model(), tmp_path / "base")
    start = tensors(base)
    session = surgery.open(base)
    session.task_arithmetic("", parents=[str(tmp_path / "one"), str(tmp_path / "two")], weights=[0.5, -1.0])
    for key, parameter in session.model.named_parameters():
        wanted = start[key] + 0.5 * (one[key] - start[key]) - (two[key] - start[key])
        torch.testing.assert_close(parameter.detach(), wanted, rtol=1e-5, atol=1e-6, msg=key)


def test_it_may_have_a_base_of_its_own(tmp_path: Path) -> None:
    """`BASE+ADAPTER`: the parent is what the adapter makes of that base."""
    other = saved(tuned(7), tmp_path / "other")
    expected = adapter(tmp_path / "adapter", 1, base=tuned(7))
    session = surgery.open(saved(base_model(), tmp_path / "base"))
    session.merge("", parents=[f"{other}+{tmp_path / 'adapter'}"], weights=[0.0, 1.0])
    for key, parameter in session.model.named_parameters():
        torch.testing.assert_close(parameter.detach(), expected[key], rtol=1e-5, atol=1e-6, msg=key)
    again = surgery.replay(session.script, tmp_path / "base")
    assert again.fingerprint() == session.fingerprint()


def test_streamed_it_is_the_same(tmp_path: Path) -> None:
    """Piece by piece, and with its content verified."""
    adapter(tmp_path / "adapter", 1, use_dora=True)
    base = saved(base_model(), tmp_path / "base")
    session = surgery.open(base)
    session.ties("", parents=[f"style={tmp_path / 'adapter'}"])
    script = session.script.write(tmp_path / "edits.json")
    surgery.replay(script, base, tmp_path / "out", memory="50MB")
    assert surgery.open(tmp_path / "out").fingerprint() == session.fingerprint()
    settings = tmp_path / "adapter" / "adapter_config.json"
    settings.write_text(settings.read_text().replace('"lora_alpha": 6', '"lora_alpha": 7'))
    with pytest.raises(SurgeryError, match="this parent is not the one that was recorded"):
        surgery.replay(script, base)


def test_a_tie_is_changed_as_a_whole_or_not(tmp_path: Path) -> None:
    """An adapter on one end of it says nothing of the other."""
    model = base_model()
    model.config.tie_word_embeddings = True
    model.lm_head.weight = model.model.embed_tokens.weight
    base = saved(model, tmp_path / "base")
    adapter(tmp_path / "adapter", 1, target_modules=["embed_tokens", "q_proj"])
    session = surgery.open(base)
    with pytest.raises(SurgeryError, match=r"this adapter changes them by one name.*untie"):
        session.merge("", parents=[str(tmp_path / "adapter")])
    session.untie("lm_head")
    session.merge("", parents=[str(tmp_path / "adapter")])


def test_what_cannot_be_merged_is_refused(tmp_path: Path) -> None:
    """Other kinds of adapters, parts that are not known, a rank that is not that of the factors."""
    adapter(tmp_path / "adapter", 1)
    base = saved(base_model(), tmp_path / "base")
    file = tmp_path / "adapter" / "adapter_config.json"
    settings = json.loads(file.read_text())
    for changes, sentence in (
        ({"peft_type": "IA3"}, "is an adapter of another kind; got IA3, expected LORA"),
        ({"bias": "all"}, "has a bias, which is not merged yet"),
        ({"target_parameters": ["experts.up"]}, "has a target_parameters, which is not merged yet"),
        ({"r": 5}, "has another rank than its settings say; got 4, expected 5"),
        ({"r": None}, "has no rank and alpha"),
        ({"lora_alpha": float("nan")}, "has no rank and alpha"),
        ({"init_lora_weights": "pissa"}, "has a init_lora_weights, which is not merged yet"),
        ({"rank_pattern": {"([a-z.]*)*X": 3}}, "has a pattern of modules that is not read here"),
        ({"rank_pattern": {"(": 3}}, "has a pattern of modules that is not read here"),
        ({"rank_pattern": [3]}, "has ranks or alphas that are no object"),
    ):
        file.write_text(json.dumps(settings | changes))
        with pytest.raises(SurgeryError) as refused:
            surgery.open(base).merge("", parents=[str(tmp_path / "adapter")])
        assert sentence in str(refused.value)
    file.write_text("[]")
    with pytest.raises(SurgeryError, match="is an adapter of another kind; got list"):
        surgery.open(base).merge("", parents=[str(tmp_path / "adapter")])
    file.write_text(json.dumps(settings))
    with pytest.raises(SurgeryError, match="this parent has a tensor that the model lacks"):
        surgery.open(saved(base_model("gpt2"), tmp_path / "gpt2")).merge(
            "", parents=[str(tmp_path / "adapter")]
        )
