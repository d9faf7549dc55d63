"""What the engine knows of transformers' families: where blocks are, and what follows their number.

Most of it holds for every model of the library (`layer_idx` on the attention of each block,
`num_hidden_layers`). A family is listed here once it was proved: in every order of its blocks it computes
what the same blocks compute in a model that transformers made, with cache as without, saved and loaded.
Models of other families are refused for edits of depth, by name.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import nn


@dataclass(frozen=True)
class Family:
    """A family of models: `blocks` is the path of its block list, from the model with the head."""

    model_type: str
    blocks: str
    per_layer_lists: tuple[str, ...] = ()
    """Config lists with an item per block."""
    per_layer_prefixes: tuple[str, ...] = ()
    """Config numbers that say "this many of the first blocks"."""
    count: str | None = None
    """The attribute beside the block list that repeats how many blocks there are."""
    by_layer_type: str | None = None
    """The rotary embedding beside the block list, if it has tables for each of `layer_types`."""
    attention: str | None = None
    """The module in a block whose first result is added to the residual stream, of a pair."""
    mlp: str | None = None
    """The module in a block whose one result is added to the residual stream."""
    pairs: bool = False
    """Whether a block returns a tuple, its first item the hidden states."""


_BLOCK: dict[str, Any] = {"attention": "self_attn", "mlp": "mlp"}

FAMILIES: dict[str, Family] = {
    family.model_type: family
    for family in (
        # Decoders
        Family("falcon", "transformer.h", attention="self_attention", mlp="mlp", pairs=True),
        Family("gemma2", "model.layers", ("layer_types",), **_BLOCK),
        Family("gemma3_text", "model.layers", ("layer_types",), by_layer_type="rotary_emb", **_BLOCK),
        Family("gpt2", "transformer.h", attention="attn", mlp="mlp"),
        Family("gpt_neox", "gpt_neox.layers", attention="attention", mlp="mlp"),
        Family("llama", "model.layers", **_BLOCK),
        Family("mistral", "model.layers", **_BLOCK),
        Family("mixtral", "model.layers", **_BLOCK),
        Family("opt", "model.decoder.layers", attention="self_attn"),
        Family("phi", "model.layers", **_BLOCK),
        Family("phi3", "model.layers", **_BLOCK),
        Family("qwen2", "model.layers", ("layer_types",), ("max_window_layers",), **_BLOCK),
        Family("qwen3", "model.layers", ("layer_types",), ("max_window_layers",), **_BLOCK),
        # Encoders
        Family("bert", "bert.encoder.layer"),
        Family("deit", "deit.layers", attention="attention", mlp="mlp"),
        Family(
            "distilbert", "distilbert.transformer.layer", count="n_layers", attention="attention", mlp="ffn"
        ),
        Family("roberta", "roberta.encoder.layer"),
        Family("vit", "vit.layers", attention="attention", mlp="mlp"),
    )
}


def model_type(model: nn.Module) -> str | None:
    """The transformers family of `model`; None for a module that has no transformers config."""
    config = getattr(model, "config", None)
    found = getattr(config, "model_type", None)
    return found if isinstance(found, str) and hasattr(config, "to_dict") else None


def indexed_modules(block: nn.Module) -> list[tuple[str, nn.Module]]:
    """The modules in a block that keep its index, which is also its slot in the KV cache."""
    return [
        (path, module)
        for path, module in block.named_modules()
        if isinstance(module.__dict__.get("layer_idx"), int)
    ]


def declared_ties(model: nn.Module) -> dict[str, str]:
    """Ties the model's class makes by itself when `config.tie_word_embeddings` is set: target → source."""
    declared: Any = getattr(type(model), "_tied_weights_keys", None)
    return dict(declared) if isinstance(declared, dict) else {}
