"""Units in another order, and models brought into one order before they are averaged."""

from __future__ import annotations

from tests.surgery.contract import NARROWER, PARENT, Case

DECODERS = [
    Case("llama", "permute", {"targets": "**", "seed": 1}),
    Case("gpt2", "permute", {"targets": "**", "units": "heads", "order": [2, 0, 3, 1]}),
    Case(
        "qwen2",
        "permute",
        {"targets": "**", "seed": 2},
        first=(("tie", {"targets": "model.layers[2]", "to": "model.layers[1]"}),),
    ),
    Case("llama", "otfusion", {"targets": "", "parents": NARROWER, "t": [0.2, 0.7]}),
]

OTHERS = [
    Case("cnn", "permute", {"targets": "**"}),
    Case("tied_head", "permute", {"targets": "**", "units": "width"}),
    Case("half", "permute", {"targets": "model.layers[1]", "units": "neurons"}),
    Case("encoder", "permute", {"targets": "layers[0]"}),
    Case("llama", "rebasin", {"targets": "", "parents": PARENT, "t": [0.2, 0.7]}),
    Case("cnn", "rebasin", {"targets": "", "parents": PARENT, "statistics": "average", "seed": 1}),
    Case("cnn", "rebasin", {"targets": "", "parents": PARENT, "statistics": "keep", "by": "activations"}),
    Case("tied_head", "rebasin", {"targets": "", "parents": PARENT, "only": "!embed"}),
    Case("cnn", "otfusion", {"targets": "", "parents": NARROWER, "statistics": "average"}),
    Case(
        "cnn", "otfusion", {"targets": "", "parents": PARENT, "ground": "activations", "statistics": "keep"}
    ),
    Case("half", "otfusion", {"targets": "", "parents": NARROWER, "regularization": 1.0}),
]
