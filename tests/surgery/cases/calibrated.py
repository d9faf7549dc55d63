"""Steps that are measured on data."""

from __future__ import annotations

from tests.surgery.contract import Case

_TIED = (("tie", {"targets": "model.layers[2]", "to": "model.layers[1]"}),)
DECODERS = [
    Case("llama", "shorten", {"targets": "model.layers[*]", "count": 2, "by": "greedy"}),
    Case("gpt2", "shorten", {"targets": "transformer.h[1:]", "count": 1, "by": "angle"}),
    Case("llama", "wanda", {"targets": "model.layers"}),
    Case("llama", "wanda", {"targets": "model.layers", "pattern": "2:4", "sequential": False}, _TIED),
    Case("gpt2", "wanda", {"targets": "transformer.h[0:2]", "ratio": 0.3}),
    Case("llama", "sparse_gpt", {"targets": "model.layers"}, (("attach", {"targets": "**.q_proj"}),)),
    Case("gpt2", "sparse_gpt", {"targets": "transformer.h[1]", "block": 16}),
    Case("llama", "prune", {"targets": "model.layers", "to": "-10 %"}, _TIED),
    Case("qwen2", "prune", {"targets": "model.layers", "units": "heads", "ratio": 0.5, "by": "fisher"}),
    Case(
        "gpt2",
        "prune",
        {"targets": "**", "units": "heads", "to": "-5 %", "figure": "bytes", "by": "magnitude"},
    ),
    Case("qwen2", "sparse_gpt", {"targets": "model.layers[0:2]", "pattern": "4:8"}),
]

OTHERS = [
    Case(
        "cnn",
        "prune",
        {"targets": "**", "units": "channels", "to": "-30 %", "figure": "macs", "by": "activation"},
    ),
    Case("half", "prune", {"targets": "**", "ratio": 0.3, "by": "activation"}),
    Case("half", "prune", {"targets": "**", "units": "width", "to": "-20 %", "by": "taylor"}),
    Case("tied_head", "shorten", {"targets": "blocks[*]", "size": 0.3, "by": "distortion"}),
    Case("half", "sparse_gpt", {"targets": "model.layers", "sequential": False}),
    Case("half", "wanda", {"targets": "**.mlp"}),
    Case("cnn", "wanda", {"targets": "stem, **.conv2, down", "ratio": 0.4}),
    Case("cnn", "sparse_gpt", {"targets": "**.conv2, head"}),
    Case("repeated", "wanda", {"targets": "blocks"}),
    Case("repeated", "sparse_gpt", {"targets": "blocks[2]"}),
    Case("encoder", "wanda", {"targets": "layers"}),
]
