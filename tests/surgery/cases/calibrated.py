"""Steps that are measured on data."""

from __future__ import annotations

from tests.surgery.contract import Case

_TIED = (("tie", {"targets": "model.layers[2]", "to": "model.layers[1]"}),)
DECODERS = [
    Case("llama", "wanda", {"targets": "model.layers"}),
    Case("llama", "wanda", {"targets": "model.layers", "pattern": "2:4", "sequential": False}, _TIED),
    Case("gpt2", "wanda", {"targets": "transformer.h[0:2]", "ratio": 0.3}),
    Case("llama", "sparse_gpt", {"targets": "model.layers"}, (("attach", {"targets": "**.q_proj"}),)),
    Case("gpt2", "sparse_gpt", {"targets": "transformer.h[1]", "block": 16}),
    Case("qwen2", "sparse_gpt", {"targets": "model.layers[0:2]", "pattern": "4:8"}),
]

OTHERS = [
    Case("half", "sparse_gpt", {"targets": "model.layers", "sequential": False}),
    Case("half", "wanda", {"targets": "**.mlp"}),
    Case("cnn", "wanda", {"targets": "stem, **.conv2, down", "ratio": 0.4}),
    Case("cnn", "sparse_gpt", {"targets": "**.conv2, head"}),
    Case("repeated", "wanda", {"targets": "blocks"}),
    Case("repeated", "sparse_gpt", {"targets": "blocks[2]"}),
    Case("encoder", "wanda", {"targets": "layers"}),
]
