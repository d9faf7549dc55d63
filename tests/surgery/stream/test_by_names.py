"""Edits of blocks are foreseen without the model's class as with it, or left to it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from surgery import SurgeryError, dry_run
from surgery.operation import Operation
from surgery.quiet import quiet
from surgery.registry import operation_named
from surgery.script import Base, Script
from surgery.stream.alike import AS_ON_DISK
from surgery.stream.by_names import foreseen_by_names
from surgery.stream.outlook import Outlook
from tests.zoo.families import DECODERS


def step(verb: str, *values: Any, **fields: Any) -> Operation:
    """An operation, unresolved."""
    return operation_named(verb).of(*values, **fields)


def base_of(name: str, folder: Path) -> Path:
    """A small model of the family, its head untied, as transformers saves it."""
    torch.manual_seed(0)
    model: Any = DECODERS[name]()[0]
    untied = model.config.to_dict() | {"tie_word_embeddings": False}
    made: Any = type(model)(type(model.config).from_dict(untied))
    with quiet():
        made.save_pretrained(folder)
    return folder


def by_names(script: Script, base: Path, limit: int = 10**9) -> Outlook | None:
    """What is foreseen without the class."""
    return foreseen_by_names(script, base, None, limit, None)


def script(base: Path, *steps: Operation) -> Script:
    """Of a base, with its class."""
    (name,) = json.loads((base / "config.json").read_text())["architectures"]
    return Script(Base(str(base), name, None), steps)


EDITS: dict[str, tuple[Operation, ...]] = {
    "remove": (step("remove", "model.layers[1]"),),
    "keep": (step("keep", "model.layers[0]"),),
    "move": (step("move", "model.layers[1]", "model.layers[0]"),),
    "swap": (step("swap", "model.layers[0]", "model.layers[1]"),),
    "duplicate": (step("duplicate", "model.layers[0]"),),
    "tie": (step("tie", "model.layers[1]", to="model.layers[0]"),),
    "tie parts, averaged": (step("tie", "model.layers[1].mlp", to="model.layers[0].mlp", start="average"),),
    "tie and untie": (
        step("tie", "model.layers[1]", to="model.layers[0]"),
        step("untie", "model.layers[1].mlp"),
    ),
    "several": (
        step("duplicate", "model.layers[0]"),
        step("scale", "model.layers[1].mlp", factor=0.5),
        step("swap", "model.layers[0]", "model.layers[2]"),
        step("tie", "model.layers[1].self_attn", to="model.layers[0].self_attn"),
        step("cast", "", dtype="float64"),
    ),
}


@pytest.mark.parametrize("name", sorted(AS_ON_DISK))
def test_it_foresees_what_a_model_would(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tensors in their order, files with their bytes, sources, memory, and what is read for fingerprints."""
    base = base_of(name, tmp_path / "base")
    for title, steps in EDITS.items():
        for limit in (10**9, 20_000):
            found = by_names(script(base, *steps), base, limit)
            with monkeypatch.context() as patch:
                patch.setattr("surgery.dry_run.foreseen_by_names", lambda *_: None)
                assert found == dry_run.dry_run(script(base, *steps), base, max_shard_size=limit), title


LEFT: dict[str, tuple[Operation, ...]] = {
    "a selector of classes": (step("untie", "**:Linear"),),
    "a pattern": (step("remove", "model.layers.*"),),
    "another kind of step": (step("narrow", "model.layers[0]", "neurons", ratio=0.5),),
    "norms of one's own": (step("tie", "model.layers[1]", to="model.layers[0]", but="norms"),),
    "a cast of a part": (step("cast", "model.layers[0]", dtype="float64"),),
    "a tie that the config says": (step("tie", "lm_head", to="model.embed_tokens"),),
    "a refusal": (step("remove", "model.layers[0:9]"),),
    "a path that is not there": (step("swap", "model.layers[0]", "model.layers[9]"),),
}


def test_the_rest_is_left_to_a_model(tmp_path: Path) -> None:
    """Other steps, refusals in words that fit the model, other configs, tensors, dtypes and classes."""
    base = base_of("llama", tmp_path / "base")
    for title, steps in LEFT.items():
        assert by_names(script(base, *steps), base) is None, title
    edit = script(base, *EDITS["remove"])
    assert by_names(edit, base) is not None
    assert by_names(Script(Base(str(base), "LlamaModel", None), edit.steps), base) is None
    config = json.loads((base / "config.json").read_text())
    for other in (
        {"intermediate_size": 8},
        {"num_key_value_heads": None},
        {"attention_bias": True},
        {"dtype": "bfloat16"},
        {"tie_word_embeddings": True},
        {"model_type": "olmo"},
        {"quantization_config": {}},
        {"layer_types": ["full_attention"] * 9},
        {"hidden_act": "nonsense"},
        {"rope_scaling": {"rope_type": "nonsense"}},
        {"rope_parameters": {"rope_type": "llama3", "factor": 8.0}},
        {"vocab_size": float(config["vocab_size"])},
        {"head_dim": "4"},
        {"architectures": ["MistralForCausalLM"]},
    ):
        (base / "config.json").write_text(json.dumps(config | other))
        assert by_names(edit, base) is None, other


def test_it_refuses_what_a_replay_would(tmp_path: Path) -> None:
    """Too little memory, and the folder that is read."""
    base = base_of("llama", tmp_path / "base")
    edit = script(base, *EDITS["tie parts, averaged"])
    with pytest.raises(SurgeryError, match="cannot be made in so little memory"):
        dry_run.dry_run(edit, memory=100)
    with pytest.raises(SurgeryError, match="is the folder that the weights are read from"):
        foreseen_by_names(edit, base, base, 10**9, None)


def test_no_model_library_is_loaded(tmp_path: Path) -> None:
    """Which is what takes the time."""
    base = base_of("llama", tmp_path / "base")
    file = script(base, *EDITS["several"]).write(tmp_path / "edits.json")
    code = (
        "import sys\n"
        "from surgery.dry_run import dry_run\n"
        f"assert dry_run({str(file)!r}).tensors\n"
        "print(sorted({'transformers', 'peft', 'accelerate'} & sys.modules.keys()))\n"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"
