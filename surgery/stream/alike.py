"""Folders whose tensors have the names they have in memory, and the same ones in each."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from surgery import fence
from surgery.checkpoint.adapter import Adapter, parent_at
from surgery.checkpoint.hub import fetched, is_on_hub
from surgery.checkpoint.tensors import Checkpoint
from surgery.merging.vocabularies import may_be_mixed

_NORMS = ("input_layernorm", "post_attention_layernorm")
_QKVO = tuple(f"self_attn.{name}_proj" for name in "qkvo")
_GATED = ("mlp.gate_proj", "mlp.up_proj", "mlp.down_proj")
AS_ON_DISK: dict[str, tuple[str, tuple[str, ...]]] = {
    **dict.fromkeys(("llama", "mistral", "qwen2"), ("norm", (*_QKVO, *_GATED, *_NORMS))),
    "qwen3": ("norm", (*_QKVO, "self_attn.q_norm", "self_attn.k_norm", *_GATED, *_NORMS)),
    "phi3": (
        "norm",
        ("self_attn.o_proj", "self_attn.qkv_proj", "mlp.gate_up_proj", "mlp.down_proj", *_NORMS),
    ),
}
"""Families of transformers whose tensors have in a file the names they have in memory: what stands behind the
blocks, and the modules of a block in their order, each with a weight."""


def alike(source: str | Path, others: Iterable[str]) -> tuple[Path, Checkpoint, dict[str, Any]] | None:
    """Folder, checkpoint and config of a base whose names are those in memory, and the same in the others."""
    folder = fetched(str(source)) if is_on_hub(source) else fence.reading(source).expanduser()
    config = _config(folder)
    if config is None or config.get("auto_map") or "quantization_config" in config:
        return None
    checkpoint = Checkpoint.at(folder)
    if not is_whole(checkpoint, config):
        return None
    if _tied(config) is not False and any("lm_head" in name for name in checkpoint.entries):
        return None  # perhaps one tensor under two names
    for place in others:
        other = parent_at(place)
        if isinstance(other, Adapter):
            return None
        like = _config(other.folder) or {}
        if "quantization_config" in like or not _is_wide(other):
            return None
        if _described(other) != _described(checkpoint) or _tied(like) != _tied(config):
            return None
        if may_be_mixed(folder, other.folder):
            return None  # which rows belong to tokens a model says, and refuses
    return folder, checkpoint, config


def is_whole(checkpoint: Checkpoint, config: Mapping[str, Any]) -> bool:
    """Whether a checkpoint has the tensors of its family, each of its blocks the same, and no others."""
    family, blocks = config.get("model_type"), config.get("num_hidden_layers")
    if not isinstance(family, str) or family not in AS_ON_DISK or not isinstance(blocks, int):
        return False
    behind, inside = AS_ON_DISK[family]
    modules = {f"model.layers.{number}.{name}" for number in range(blocks) for name in inside}
    modules |= {"model.embed_tokens", f"model.{behind}"}
    names = {name.rpartition(".")[0] for name in checkpoint.entries}
    shapes: dict[str, set[tuple[int, ...]]] = {}
    for name, entry in checkpoint.entries.items():
        shapes.setdefault(re.sub(r"\.\d+\.", ".*.", name), set()).add(entry.shape)
    embedding = checkpoint.entries.get("model.embed_tokens.weight")
    return (
        {f"{name}.weight" for name in modules} <= checkpoint.entries.keys()
        and names - modules <= {"lm_head"}
        and all(len(found) == 1 for found in shapes.values())
        and embedding is not None
        and embedding.shape == (config.get("vocab_size"), config.get("hidden_size"))
        and _is_wide(checkpoint)
    )


def _is_wide(checkpoint: Checkpoint) -> bool:
    """Whether all tensors are floating-point numbers of two bytes or more."""
    dtypes = {entry.dtype for entry in checkpoint.entries.values()}
    return all(dtype.is_floating_point and dtype.itemsize > 1 for dtype in dtypes)


def _config(folder: Path) -> dict[str, Any] | None:
    try:
        found = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def _described(checkpoint: Checkpoint) -> dict[str, tuple[int, ...]]:
    return {name: entry.shape for name, entry in checkpoint.entries.items()}


def _tied(config: Mapping[str, Any]) -> object:
    return config.get("tie_word_embeddings")
