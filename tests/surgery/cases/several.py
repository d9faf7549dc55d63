"""Mixtures made of dense layers, experts merged, and two models as one."""

from __future__ import annotations

from tests.surgery.contract import PARENT, Case

DECODERS = [
    Case("llama", "upcycle", {"targets": "model.layers[0:2]", "experts": 3}),
    Case("gpt2", "upcycle", {"targets": "transformer.h[1].mlp", "how": "split", "active": 2}),
    Case(
        "llama",
        "merge_experts",
        {"targets": "model.layers[0:2]"},
        first=(("upcycle", {"targets": "model.layers[0:2]"}),),
    ),
    Case("many_tokens", "stitch", {"parents": PARENT, "at": 2}),
]
