"""What is done to decoders of three families, block by block and inside of them."""

from __future__ import annotations

from tests.surgery.contract import Case

BLOCKS = {"llama": "model.layers", "qwen2": "model.layers", "gpt2": "transformer.h"}
LINEARS = {"llama": "**.{q,v}_proj", "qwen2": "**.{q,v}_proj", "gpt2": "**.c_attn"}


def _head_cases(model: str, head: str, embed: str) -> list[Case]:
    """The tie of head and embedding that a config declares: made where it is not, undone and made again."""
    tie = {"targets": head, "to": embed}
    if model == "qwen2":  # its config leaves them apart
        return [
            Case(model, "tie", tie),
            Case(model, "untie", {"targets": head}, (("tie", tie),), lossless=True),
        ]
    apart = (("untie", {"targets": head}), ("sparsify", {"targets": head}))
    return [Case(model, "tie", tie, apart), Case(model, "untie", {"targets": head}, lossless=True)]


def _decoder_cases(model: str) -> list[Case]:
    blocks, linears = BLOCKS[model], LINEARS[model]
    embed, head = ("transformer.wte", "lm_head") if model == "gpt2" else ("model.embed_tokens", "lm_head")
    return [
        Case(model, "remove", {"targets": f"{blocks}[1]"}),
        Case(model, "remove", {"targets": f"{blocks}[0]"}),
        Case(model, "remove", {"targets": f"{blocks}[1:3]"}),
        Case(model, "keep", {"targets": f"{blocks}[::2]"}),
        Case(model, "move", {"targets": f"{blocks}[0]", "to": f"{blocks}[2]", "place": "after"}),
        Case(model, "move", {"targets": f"{blocks}[1:3]", "to": f"{blocks}[0]"}),
        Case(model, "swap", {"target": f"{blocks}[0]", "other": f"{blocks}[2]"}),
        Case(model, "duplicate", {"targets": f"{blocks}[0:2]"}),
        Case(model, "duplicate", {"targets": f"{blocks}[1]", "order": "each", "shared": True}),
        Case(
            model,
            "duplicate",
            {"targets": f"{blocks}[1:3]", "order": "each"},
            first=(
                ("tie", {"targets": f"{blocks}[2]", "to": f"{blocks}[1]"}),
                ("attach", {"targets": linears}),
            ),
        ),
        Case(model, "tie", {"targets": f"{blocks}[2]", "to": f"{blocks}[1]"}),
        Case(model, "tie", {"targets": f"{blocks}[1:3]", "to": f"{blocks}[0]", "but": "vectors"}),
        Case(model, "tie", {"targets": f"{blocks}[2]", "to": f"{blocks}[1]", "start": "average"}),
        *_head_cases(model, head, embed),
        Case(
            model,
            "untie",
            {"targets": f"{blocks}[2]"},
            first=(("tie", {"targets": f"{blocks}[2]", "to": f"{blocks}[1]"}),),
            lossless=True,
        ),
        Case(model, "tie", {"targets": f"{blocks}[1:3]", "to": f"{blocks}[0]", "but": "norms"}),
        Case(
            model,
            "untie",
            {"targets": f"{blocks}[1:3]", "together": True},
            first=(("tie", {"targets": f"{blocks}[1:4]", "to": f"{blocks}[0]"}),),
            lossless=True,
        ),
        Case(model, "recur", {"targets": f"{blocks}[*]", "loop": 2, "rank": 2}),
        Case(model, "recur", {"targets": f"{blocks}[*]", "loop": 1, "start": "average", "norms": "tied"}),
        Case(model, "share_atoms", {"targets": linears, "atoms": 2}),
        Case(model, "multiplex", {"targets": f"{blocks}[*]", "span": 2, "start": "nearest"}),
        Case(model, "multiplex", {"targets": f"{blocks}[0:3]", "others": "inputs"}),
        Case(
            model,
            "multiply_out",
            {"targets": f"{blocks}[0:2]"},
            first=(("multiplex", {"targets": f"{blocks}[*]", "start": "nearest"}),),
        ),
        Case(model, "merge", {"targets": f"{blocks}[1:3]"}),
        Case(model, "merge", {"targets": f"{blocks}[0:2]", "weights": [0.75, 0.25]}),
        Case(model, "sparsify", {"targets": f"{blocks}[1]", "ratio": 0.3}),
        Case(model, "sparsify", {"targets": "**", "ratio": 0.5, "scope": "global"}),
        Case(model, "sparsify", {"targets": f"{blocks}[0:2]", "pattern": "2:4"}),
        Case(model, "narrow", {"targets": "**", "ratio": 0.5}),
        Case(model, "narrow", {"targets": f"{blocks}[1]", "units": "heads", "count": 2}),
        Case(
            model,
            "narrow",
            {"targets": f"{blocks}[0:2]", "units": "heads", "kept": [1]},
            first=(("tie", {"targets": f"{blocks}[1]", "to": f"{blocks}[0]"}),),
        ),
        Case(model, "pad", {"targets": "**", "count": 200}),
        Case(
            model,
            "pad",
            {"targets": "**", "units": "heads"},
            first=(("narrow", {"targets": f"{blocks}[1]", "units": "heads", "count": 2}),),
        ),
        Case(model, "attach", {"targets": linears, "rank": 2}, lossless=True),
        Case(model, "detach", {"targets": "**"}, first=(("attach", {"targets": linears}),), lossless=True),
        Case(model, "fold", {"targets": f"{blocks}[1]"}, first=(("attach", {"targets": linears}),)),
        Case(
            model,
            "remove",
            {"targets": f"{blocks}[0]"},
            first=(
                ("tie", {"targets": f"{blocks}[2]", "to": f"{blocks}[1]"}),
                ("attach", {"targets": linears}),
            ),
        ),
    ]


# Once or twice each, since nothing in them knows a family beyond where its blocks are.
_INSIDE = [
    Case("llama", "skip", {"targets": "model.layers[0]"}),
    Case("qwen2", "skip", {"targets": "model.layers[1].self_attn"}),
    Case("llama", "insert", {"to": "model.layers[0]", "module": "linear"}, lossless=True),
    Case("gpt2", "insert", {"to": "transformer.h[1]", "module": "rmsnorm(eps=1e-5)", "place": "after"}),
    Case("qwen2", "replace", {"targets": "model.layers[0]", "by": "model.layers[2]"}),
    Case("llama", "wrap", {"targets": "model.layers[0], **.{q,v}_proj"}, lossless=True),
    Case("gpt2", "wrap", {"targets": "transformer.h[0].attn", "wrapper": "prenorm(eps=1e-5)"}),
    Case("llama", "cast", {"targets": "**"}),
    Case("llama", "share_heads", {"targets": "model.layers[1:]", "ratio": 0.5}),
    Case("qwen2", "share_heads", {"targets": "**", "ratio": 0.6}),
    Case("llama", "freeze", {"targets": "model.layers[0:2]"}, lossless=True),
]

DECODERS = [case for model in BLOCKS for case in _decoder_cases(model)] + _INSIDE
