"""Exact rewrites: what the model computes stays."""

from __future__ import annotations

from tests.surgery.contract import Case

DECODERS = [
    Case("llama", "grow", {"targets": "model.layers[0], model.layers[2]"}, lossless=True),
    Case("llama", "widen", {"targets": "**", "factor": 1.3, "seed": 2}),
    Case(
        "gpt2",
        "widen",
        {"targets": "transformer.h[0:2]"},
        (("tie", {"targets": "transformer.h[1]", "to": "transformer.h[0]"}),),
    ),
    Case("gpt2", "to_rms_norm", {"targets": "**"}, (("untie", {"targets": "lm_head"}),)),
    Case("gpt2", "absorb_norm", {"targets": "**.ln_1"}, (("scale", {"targets": "**.ln_1", "factor": 2}),)),
]

OTHERS = [
    Case("cnn", "fold_norm", {"targets": "**"}),
    Case("cnn", "fold_norm", {"targets": "stage2[1]"}, (("recalibrate", {"targets": "**"}),)),
    Case("tied_head", "absorb_norm", {"targets": "**", "affine": "none"}),
    Case("branched", "reparameterize", {"targets": "**"}),
    Case("tied_head", "grow", {"targets": "blocks[1:3]"}, lossless=True),
    Case("encoder", "widen", {"targets": "layers[0]", "factor": 1.5}),
]
