"""Kinds of adapters, and several of them at once."""

from __future__ import annotations

from tests.surgery.cases.blocks import BLOCKS, LINEARS
from tests.surgery.contract import Case


def _kinds(model: str) -> list[Case]:
    blocks, linears = BLOCKS[model], LINEARS[model]
    attention = "attn" if model == "gpt2" else "self_attn"
    return [
        Case(model, "attach", {"targets": linears, "adapter": "dora"}),
        Case(model, "attach", {"targets": linears, "adapter": "sharelora", "share": "both"}, lossless=True),
        Case(
            model,
            "attach",
            {"targets": f"{blocks}[0:2], {blocks}[1].{attention}", "adapter": "bottleneck"},
            lossless=True,
        ),
    ]


DECODERS = [case for model in BLOCKS for case in _kinds(model)]

_BESIDE = (
    ("attach", {"targets": "**.{q,v}_proj", "rank": 2}),
    ("attach", {"targets": "**.q_proj", "rank": 3, "called": "style"}),
)
_BOTH = (*_BESIDE, ("activate", {"called": "default, style", "strengths": [0.5, 2.0]}))
OTHERS = [
    Case("llama", "attach", {"targets": "**.q_proj", "adapter": "ia3"}, lossless=True),
    Case("gpt2", "attach", {"targets": "**.c_proj", "adapter": "ia3", "side": "input"}, lossless=True),
    Case("half", "attach", {"targets": "**.q_proj", "adapter": "dora"}),
    Case("llama", "attach", {"targets": "**.{q,k}_proj", "adapter": "s2lora"}, lossless=True),
    Case("gpt2", "attach", {"targets": "**.c_fc", "adapter": "mole", "experts": 3}, lossless=True),
    Case("llama", "attach", {"targets": "**.q_proj", "called": "style"}, _BESIDE[:1], lossless=True),
    Case("tied_head", "attach", {"targets": "blocks[0].up", "adapter": "rslora"}, lossless=True),
    Case("cnn", "attach", {"targets": "stem[0], **.conv2", "rank": 2}, lossless=True),
    Case("cnn", "attach", {"targets": "stage1[*], down", "adapter": "scse"}, lossless=True),
    Case("reused", "attach", {"targets": "block.up"}, lossless=True),
    Case("repeated", "attach", {"targets": "blocks[1][0]", "ties": "shared"}, lossless=True),
    Case("encoder", "attach", {"targets": "layers[*]", "adapter": "bottleneck"}, lossless=True),
    Case("llama", "attach", {"targets": "**.{q,v}_proj", "adapter": "peft:loha", "rank": 2}, lossless=True),
    Case("half", "attach", {"targets": "**.q_proj", "adapter": "peft:oft", "options": {"oft_block_size": 8}}),
    Case("cnn", "attach", {"targets": "**.conv2", "adapter": "peft:lokr"}, lossless=True),
    Case("gpt2", "attach", {"targets": "**.ln_1", "adapter": "peft:ln_tuning"}),
    Case("llama", "fold", {}, (("attach", {"targets": "**.q_proj", "adapter": "peft:boft"}),)),
    Case("llama", "activate", {"called": "style"}, _BESIDE, lossless=True),
    Case("llama", "activate", {"off": True}, _BESIDE, lossless=True),
    Case("gpt2", "activate", {"strengths": [2.0]}, (("attach", {"targets": "**.c_attn"}),)),
    Case("llama", "combine", {"called": "default, style"}, _BOTH),
    Case("half", "combine", {"called": "default, style", "how": "svd", "rank": 4}, _BOTH),
    Case("llama", "combine", {"called": "default, style", "how": "svd", "rank": 2}, _BOTH),
    Case(
        "cnn",
        "combine",
        {"called": "default, style", "how": "linear", "weights": [0.5, -2.0]},
        (("attach", {"targets": "stem[0]"}), ("attach", {"targets": "stem[0]", "called": "style"})),
    ),
    Case("llama", "detach", {"called": "default"}, _BOTH),
    Case("llama", "fold", {"called": "default"}, _BOTH),
    Case("half", "fold", {}, (("attach", {"targets": "**.q_proj", "adapter": "dora"}),)),
    Case("gpt2", "fold", {}, (("attach", {"targets": "**.c_attn", "adapter": "ia3"}),)),
    Case("cnn", "fold", {}, (("attach", {"targets": "stem[0]"}),)),
    Case("llama", "fold", {}, (("attach", {"targets": "**.q_proj", "adapter": "s2lora"}),)),
    Case("repeated", "fold", {}, (("attach", {"targets": "blocks[1][0]", "ties": "shared"}),)),
]
