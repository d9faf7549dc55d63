"""Where our results are mergekit's, and where they are not and why; checked against mergekit 0.1.5.

The same means: to 1e-5 on float32 checkpoints, and to one unit of bfloat16's last place on bfloat16 ones
with `dtype: float32` and `out_dtype: bfloat16`. What mergekit made lies beside the tests.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Agreement:
    """What a method of mergekit is here, and what differs."""

    operation: str
    differs: str = ""


_EQUALS = (
    "of elements of equal magnitude at the threshold all stay; mergekit's sort keeps some of them, and which "
    "hangs on their order. Task vectors of 16-bit checkpoints have many such"
)
_DRAWS = "draws are our own, by seed, path and block, so that they hang on no order of work"

AGREEMENT: dict[str, Agreement] = {
    "linear": Agreement("merge"),
    "slerp": Agreement("slerp"),
    "nuslerp": Agreement("nuslerp"),
    "multislerp": Agreement("multislerp", "more than two vectors that cancel are summed, not refused"),
    "karcher": Agreement("karcher", "angles are summed in float64, mergekit's in the dtype of the tensors"),
    "task_arithmetic": Agreement("task_arithmetic"),
    "ties": Agreement("ties", _EQUALS),
    "dare_linear": Agreement("dare", _DRAWS),
    "dare_ties": Agreement("dare", _DRAWS),
    "della": Agreement("della", _DRAWS),
    "della_linear": Agreement("della", _DRAWS),
    "breadcrumbs": Agreement("breadcrumbs", _EQUALS),
    "breadcrumbs_ties": Agreement("breadcrumbs", _EQUALS),
    "sce": Agreement(
        "sce",
        "weights are the paper's however small the task vectors are; mergekit's are equal where their mean "
        f"squares sum up to less than 1e-6, as those of fine-tuned models may. Besides, {_EQUALS}",
    ),
    "ram": Agreement("ram"),
    "ramplus_tl": Agreement("ram", "the result has the dtype of the file, mergekit's is float32"),
    "model_stock": Agreement(
        "model_stock", "cosines of task vectors shorter than 1e-3 are not shrunk to zero"
    ),
    "nearswap": Agreement("nearswap"),
    "arcee_fusion": Agreement(
        "arcee_fusion",
        "quartiles are exact, mergekit's of tensors with more than a million elements come from a random "
        "sample; the result has the dtype of the file, mergekit's is float32",
    ),
    "passthrough": Agreement("scale"),
}

EVERYWHERE = (
    "Computed in float32 or wider and rounded once. With `dtype: bfloat16` mergekit rounds what comes in "
    "and, but for linear, slerp and passthrough, each step on the way.",
    "Values over depth: ours go from 0 before the blocks to 1 behind them. mergekit's are at 0 outside the "
    "blocks, before and behind, and at 1 for a single block. Steps are made so that results are mergekit's.",
    "A head that only one of the models ties is untied first. mergekit writes two tensors and, if the base "
    "ties them, a config that says so; and no head where a stack ends with a model that ties it.",
    "Without a `dtype` mergekit gives each tensor the widest of its dtypes. Here all of our model is cast to "
    "the widest of all, if another model has a tensor that is wider than ours.",
    "Rows of embeddings behind the last token stay. mergekit cuts them off where the file has a "
    "`tokenizer_source`.",
)
"""What holds for all methods."""
