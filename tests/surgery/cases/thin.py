"""Layers that become several thin ones."""

from __future__ import annotations

from tests.surgery.contract import Case

DECODERS = [
    Case("gpt2", "low_rank", {"targets": "transformer.h[0].**:Conv1D", "rank": 5}),
    Case("llama", "low_rank", {"targets": "model.layers[*].**:Linear", "size": 0.4}),
    Case(
        "llama",
        "low_rank",
        {"targets": "model.layers[0:2].**:Linear", "energy": 0.6},
        first=(("tie", {"targets": "model.layers[1]", "to": "model.layers[0]"}),),
    ),
    Case("qwen2", "low_rank", {"targets": "**.{q,up}_proj", "size": 0.5, "spread": "distortion"}),
    Case("gpt2", "low_rank", {"targets": "transformer.h[0].**:Conv1D", "rank": 5, "by": "inputs"}),
    Case("llama", "low_rank", {"targets": "model.layers[*].mlp.*:Linear", "size": 0.4, "by": "inputs"}),
]

OTHERS = [
    Case("half", "low_rank", {"targets": "**.mlp.*:Linear", "rank": 4}),
    Case("tied_head", "low_rank", {"targets": "blocks[0].**:Linear", "size": 0.5}),
    Case("cnn", "low_rank", {"targets": "down, head", "size": 0.5}),
    Case("cnn", "low_rank", {"targets": "down, head", "energy": 0.8, "by": "inputs"}),
    Case("cnn", "tucker", {"targets": "stem[0], **.conv2", "ranks": [4, 2]}),
    Case("cnn", "tucker", {"targets": "stage2[2].conv{1,2}", "energy": 0.4}),
]
