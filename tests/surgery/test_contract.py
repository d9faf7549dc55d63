"""Every operation on every zoo model it fits keeps the contract."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from surgery.registry import operations
from tests.surgery.contract import (
    ADAPTER,
    CHECKS,
    PARENT,
    PARENTS,
    Case,
    generates_with_its_cache,
    survives_saving,
)

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
        Case(model, "tie", {"targets": f"{blocks}[1:3]", "to": f"{blocks}[0]", "own_norms": True}),
        Case(model, "tie", {"targets": f"{blocks}[2]", "to": f"{blocks}[1]", "start": "average"}),
        *_head_cases(model, head, embed),
        Case(
            model,
            "untie",
            {"targets": f"{blocks}[2]"},
            first=(("tie", {"targets": f"{blocks}[2]", "to": f"{blocks}[1]"}),),
            lossless=True,
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


PLAIN = [
    Case("tied_head", "remove", {"targets": "blocks[1]"}),
    Case("tied_head", "keep", {"targets": "blocks[1:3]"}),
    Case("tied_head", "move", {"targets": "blocks[2]", "to": "blocks[0]"}),
    Case("tied_head", "swap", {"target": "blocks[0]", "other": "blocks[1]"}),
    Case("tied_head", "duplicate", {"targets": "blocks[0:2]"}),
    Case("tied_head", "duplicate", {"targets": "blocks[1]", "shared": True}),
    Case("tied_head", "tie", {"targets": "blocks[1]", "to": "blocks[0]"}),
    Case("tied_head", "merge", {"targets": "blocks[0:2]"}),
    Case("tied_head", "sparsify", {"targets": "**"}),
    Case("tied_head", "attach", {"targets": "blocks[0].**:Linear"}, lossless=True),
    Case("siamese", "untie", {"targets": "right"}, lossless=True),
    Case("siamese", "sparsify", {"targets": "left", "ratio": 0.5}),
    Case("cnn", "sparsify", {"targets": "**", "ratio": 0.4, "scope": "global"}),
    Case("cnn", "recalibrate", {"targets": "**"}),
    Case("encoder", "sparsify", {"targets": "**", "ratio": 0.4}),
    Case("encoder", "narrow", {"targets": "layers[0]", "count": 20}),
    Case("encoder", "pad", {"targets": "layers[0]", "count": 40}),
]

PLAIN += [
    Case("half", "cast", {"targets": "**", "dtype": "float32"}),
    Case("llama", "cast", {"targets": "**", "dtype": "float16", "buffers": True}),
    Case("tied_head", "skip", {"targets": "blocks[1], blocks[2].norm"}),
    Case("tied_head", "insert", {"to": "blocks[2]", "module": "layernorm", "place": "after"}),
    Case("llama", "replace", {"targets": "model.layers[0:2].mlp", "parents": PARENT}),
    Case("repeated", "replace", {"targets": "blocks[1]", "by": "blocks[2]"}),
    Case("tied_head", "wrap", {"targets": "blocks[*].down", "wrapper": "postnorm(kind='layernorm')"}),
    Case("cnn", "freeze", {"targets": "**", "frozen": False}, (("freeze", {"targets": "**"}),), True),
    Case("half", "remove", {"targets": "model.layers[1]"}),
    Case("half", "tie", {"targets": "model.layers[2]", "to": "model.layers.1", "start": "average"}),
    Case("half", "sparsify", {"targets": "**", "scope": "global"}),
    Case("half", "narrow", {"targets": "**", "units": "heads", "ratio": 0.5}),
    Case("half", "pad", {"targets": "**", "units": "heads", "count": 8}),
    Case("half", "fold", {"targets": "**"}, first=(("attach", {"targets": "**.q_proj"}),)),
    Case("half", "merge", {"targets": "**", "parents": PARENT, "weights": [0.5, 0.5]}),
    Case("llama", "merge", {"targets": "**", "parents": PARENT}),
    Case("gpt2", "merge", {"targets": "transformer.h[1]", "parents": PARENT, "weights": [0.3, 0.7]}),
    Case("tied_head", "merge", {"targets": "**", "parents": PARENT, "weights": [-1.0, 2.0]}),
    Case("repeated", "remove", {"targets": "blocks[0]"}),
    Case("repeated", "remove", {"targets": "blocks[2]"}),
    Case("repeated", "move", {"targets": "blocks[0]", "to": "blocks[2]", "place": "after"}),
    Case("repeated", "duplicate", {"targets": "blocks[2]"}),
    Case("repeated", "duplicate", {"targets": "blocks[1]", "shared": True}),
    Case("repeated", "merge", {"targets": "blocks[1:3]"}, first=(("untie", {"targets": "blocks[1]"}),)),
    Case("repeated", "tie", {"targets": "blocks[2]", "to": "blocks.0", "start": "average"}),
    Case("repeated", "untie", {"targets": "blocks[1]"}, lossless=True),
    Case("cnn", "narrow", {"targets": "**", "units": "channels", "ratio": 0.5}),
]

_TIED = (("tie", {"targets": "model.layers[2]", "to": "model.layers[1]"}),)
CALIBRATED = [
    Case("llama", "wanda", {"targets": "model.layers"}),
    Case("llama", "wanda", {"targets": "model.layers", "pattern": "2:4", "sequential": False}, _TIED),
    Case("gpt2", "wanda", {"targets": "transformer.h[0:2]", "ratio": 0.3}),
    Case("llama", "sparse_gpt", {"targets": "model.layers"}, (("attach", {"targets": "**.q_proj"}),)),
    Case("gpt2", "sparse_gpt", {"targets": "transformer.h[1]", "block": 16}),
    Case("qwen2", "sparse_gpt", {"targets": "model.layers[0:2]", "pattern": "4:8"}),
]

PRUNED = [
    Case("llama", "prune", {"targets": "model.layers", "to": "-10 %"}, _TIED),
    Case("qwen2", "prune", {"targets": "model.layers", "units": "heads", "ratio": 0.5, "by": "fisher"}),
    Case(
        "gpt2",
        "prune",
        {"targets": "**", "units": "heads", "to": "-5 %", "figure": "bytes", "by": "magnitude"},
    ),
]

# Once or twice each, since nothing in them knows a family beyond where its blocks are.
INSIDE = [
    Case("llama", "skip", {"targets": "model.layers[0]"}),
    Case("qwen2", "skip", {"targets": "model.layers[1].self_attn"}),
    Case("llama", "insert", {"to": "model.layers[0]", "module": "linear"}, lossless=True),
    Case("gpt2", "insert", {"to": "transformer.h[1]", "module": "rmsnorm(eps=1e-5)", "place": "after"}),
    Case("qwen2", "replace", {"targets": "model.layers[0]", "by": "model.layers[2]"}),
    Case("llama", "wrap", {"targets": "model.layers[0], **.{q,v}_proj"}, lossless=True),
    Case("gpt2", "wrap", {"targets": "transformer.h[0].attn", "wrapper": "prenorm(eps=1e-5)"}),
    Case("llama", "cast", {"targets": "**"}),
    Case("llama", "freeze", {"targets": "model.layers[0:2]"}, lossless=True),
]

PLAIN += [
    Case("half", "sparse_gpt", {"targets": "model.layers", "sequential": False}),
    Case("half", "wanda", {"targets": "**.mlp"}),
    Case("cnn", "wanda", {"targets": "stem, **.conv2, down", "ratio": 0.4}),
    Case("cnn", "sparse_gpt", {"targets": "**.conv2, head"}),
    Case("repeated", "wanda", {"targets": "blocks"}),
    Case("repeated", "sparse_gpt", {"targets": "blocks[2]"}),
    Case("encoder", "wanda", {"targets": "layers"}),
]

PLAIN += [
    Case(
        "cnn",
        "prune",
        {"targets": "**", "units": "channels", "to": "-30 %", "figure": "macs", "by": "activation"},
    ),
    Case("half", "prune", {"targets": "**", "ratio": 0.3, "by": "activation"}),
]

THIN = [
    Case("gpt2", "low_rank", {"targets": "transformer.h[0].**:Conv1D", "rank": 5}),
    Case("llama", "low_rank", {"targets": "model.layers[*].**:Linear", "size": 0.4}),
    Case(
        "llama",
        "low_rank",
        {"targets": "model.layers[0:2].**:Linear", "energy": 0.6},
        first=(("tie", {"targets": "model.layers[1]", "to": "model.layers[0]"}),),
    ),
    Case("qwen2", "low_rank", {"targets": "**.{q,up}_proj", "rank": 3}),
    Case("half", "low_rank", {"targets": "**.mlp.*:Linear", "rank": 4}),
    Case("tied_head", "low_rank", {"targets": "blocks[0].**:Linear", "size": 0.5}),
    Case("cnn", "low_rank", {"targets": "down, head", "size": 0.5}),
    Case("cnn", "tucker", {"targets": "stem[0], **.conv2", "ranks": [4, 2]}),
    Case("cnn", "tucker", {"targets": "stage2[2].conv{1,2}", "energy": 0.4}),
]

MERGES = [
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

DECODERS = (
    [case for model in BLOCKS for case in _decoder_cases(model)] + INSIDE + CALIBRATED + PRUNED + THIN[:4]
)


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("case", DECODERS + PLAIN + THIN[4:] + MERGES, ids=str)
def test_contract(check: Callable[[Case], None], case: Case) -> None:
    """The check holds for the operation on this model."""
    check(case)


@pytest.mark.parametrize("case", DECODERS + PLAIN + THIN[4:] + MERGES, ids=str)
def test_survives_saving(case: Case, tmp_path: Path) -> None:
    """Save and load give the same model."""
    survives_saving(case, tmp_path)


@pytest.mark.parametrize("case", DECODERS, ids=str)
def test_generates_with_its_cache(case: Case) -> None:
    """Cached generation equals uncached after the operation."""
    generates_with_its_cache(case)


def test_every_operation_is_under_contract() -> None:
    """No operation of the registry is left out of the harness."""
    covered: set[Any] = {case.operation for case in DECODERS + PLAIN + THIN[4:] + MERGES}
    assert set(operations()) == covered
