"""Merges with other checkpoints."""

from __future__ import annotations

from tests.surgery.contract import ADAPTER, PARENT, PARENTS, Case

OTHERS = [
    Case("llama", "ties", {"targets": "", "parents": PARENTS, "weights": [1.0, [0.2, 0.8]], "rescale": True}),
    Case("cnn", "ties", {"targets": "", "parents": PARENT, "statistics": "average"}),
    Case("llama", "task_arithmetic", {"targets": "", "parents": PARENTS, "weights": [-1.0, 0.5]}),
    Case("half", "task_arithmetic", {"targets": "model.layers[1]", "parents": PARENT, "scale": 0.5}),
    Case("llama", "dare", {"targets": "", "parents": PARENTS, "elect": "sum", "rescale": "l1"}),
    Case("gpt2", "dare", {"targets": "**.attn", "parents": PARENT, "seed": 3}),
    Case("llama", "della", {"targets": "", "parents": PARENT, "only": "weight !norm"}),
    Case("llama", "breadcrumbs", {"targets": "", "parents": PARENTS, "elect": "count"}),
    Case("llama", "sce", {"targets": "", "parents": PARENTS, "density": 0.3}),
    Case("llama", "ram", {"targets": "", "parents": PARENTS, "rate": 0.1}),
    Case("llama", "model_stock", {"targets": "", "parents": PARENTS}),
    Case("tied_head", "model_stock", {"targets": "", "parents": PARENTS, "filter_wise": True}),
    Case("llama", "slerp", {"targets": "", "parents": PARENT, "t": [0.0, 0.5, 1.0]}),
    Case("cnn", "slerp", {"targets": "", "parents": PARENT, "statistics": "keep"}),
    Case("llama", "nuslerp", {"targets": "", "parents": PARENTS, "weights": [0.3, 0.7]}),
    Case("gpt2", "nuslerp", {"targets": "", "parents": PARENT, "vectors": "columns"}),
    Case("llama", "multislerp", {"targets": "", "parents": PARENTS, "around": True}),
    Case("llama", "karcher", {"targets": "", "parents": PARENTS}),
    Case("llama", "nearswap", {"targets": "", "parents": PARENT, "t": 0.01}),
    Case("llama", "arcee_fusion", {"targets": "", "parents": PARENT}),
    Case("llama", "regmean", {"targets": "", "parents": PARENTS}),
    Case("gpt2", "regmean", {"targets": "transformer.h[1]", "parents": PARENT, "beside": 0.5}),
    Case("llama", "fisher", {"targets": "", "parents": PARENTS, "weights": [0.5, 1.0, 1.0]}),
    Case("half", "fisher", {"targets": "model.layers[0:2]", "parents": PARENT}),
    Case("llama", "soup", {"targets": "", "parents": PARENTS, "t": 0.7}),
    Case("cnn", "merge", {"targets": "", "parents": PARENT, "statistics": "average", "normalize": True}),
    Case("llama", "adopt", {"parents": ADAPTER, "weights": [0.5]}),
    Case(
        "llama",
        "adopt",
        {"parents": ADAPTER, "targets": "model.layers[1]"},
        (("attach", {"targets": "**.v_proj"}),),
    ),
    Case("llama", "ties", {"targets": "", "parents": ADAPTER}),
    Case("llama", "scale", {"targets": "**.down_proj", "factor": [1.0, 0.5]}),
]
