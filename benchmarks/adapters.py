"""Adapters beside PEFT: attached, switched and merged on one decoder, each taken back in the same turn.

Nothing is promised. PEFT writes into the layers of one model; here every step is checked on a trace, kept in
a history and taken back to the same objects, which is what the time goes to.
"""

from __future__ import annotations

from typing import Any

import torch
from peft import LoraConfig, get_peft_model
from transformers import LlamaConfig, LlamaForCausalLM

import surgery
from benchmarks.tables import Table, ms, ratio, side_by_side

ROUNDS = 31
TARGETS = "**.{q,v}_proj"


def tables() -> list[Table]:
    """Medians of both, and ours in parts of PEFT's."""
    rows = []
    for what, ways in (
        ("attach, and off", _attach()),
        ("switch, and back", _switch()),
        ("merge, and undo", _merge()),
    ):
        found = side_by_side(ways, rounds=ROUNDS)
        rows.append((what, ms(found["ours"]), ms(found["peft"]), ratio(found["ours"], found["peft"])))
        print(*rows[-1], flush=True)
    return [
        Table(
            "Adapters",
            "LoRA of rank 8 on queries and values of a Llama of 12 blocks, 89 M parameters, float32.",
            ("what", "here", "PEFT", "ratio"),
            tuple(rows),
        )
    ]


def _decoder() -> LlamaForCausalLM:
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=2048, hidden_size=768, intermediate_size=2048, num_hidden_layers=12, num_attention_heads=12
    )
    return LlamaForCausalLM(config).eval()


def _session() -> surgery.Session:
    return surgery.open(_decoder(), {"input_ids": torch.arange(32).view(1, 32)})


def _config() -> LoraConfig:
    return LoraConfig(r=8, lora_alpha=16, target_modules=["q_proj", "v_proj"], task_type="CAUSAL_LM")


def _attach() -> dict[str, Any]:
    session, model = _session(), _decoder()

    def ours() -> None:
        session.attach(TARGETS, rank=8)
        session.undo()

    def peft() -> None:
        get_peft_model(model, _config()).unload()

    return {"ours": ours, "peft": peft}


def _switch() -> dict[str, Any]:
    session, model = _session(), get_peft_model(_decoder(), _config(), adapter_name="first")
    session.attach(TARGETS, rank=8, called="first")
    session.attach(TARGETS, rank=8, called="second")
    model.add_adapter("second", _config())

    def ours() -> None:
        session.activate(called="first")
        session.undo()

    def peft() -> None:
        model.set_adapter("first")
        model.set_adapter("second")

    return {"ours": ours, "peft": peft}


def _merge() -> dict[str, Any]:
    session, model = _session(), get_peft_model(_decoder(), _config())
    session.attach(TARGETS, rank=8)

    def ours() -> None:
        session.fold()
        session.undo()

    def peft() -> None:
        model.merge_adapter()
        model.unmerge_adapter()

    return {"ours": ours, "peft": peft}
