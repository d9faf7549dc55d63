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

from graph.tree import sites


@dataclass(frozen=True)
class BlockList:
    """A list of blocks, and what else in such a model says how many and which there are.

    Paths lead from the model with its head; in the model without, they are shorter. A `*` stands for
    the number of a stage.
    """

    path: str
    count: str = "num_hidden_layers"
    """The config key with the number of blocks; dots lead into a sub-config or to an item of a list."""
    per_layer_lists: tuple[str, ...] = ()
    """Config lists with an item per block."""
    per_layer_prefixes: tuple[str, ...] = ()
    """Config numbers that say "this many of the first blocks"."""
    repeats: tuple[str, ...] = ()
    """Attributes of modules, or keys of configs that a part of the model has for itself, that repeat it."""
    alone: str | None = None
    """The config key that sizes the KV cache of a model that has none of the family's other lists."""
    slots: str | None = None
    """The key that sizes the KV cache when the model generates, if that is the `count` of another list."""
    first: str | None = None
    """What the first block has for all of them; `has_` and its name beside it says whether a block has it."""
    entry: str | None = None
    """What is no Identity in the block that has to stay the first, for it changes width or resolution."""
    named_heads: str | None = None
    """The generation setting that lists attention heads as pairs of block and head."""
    by_layer_type: str | None = None
    """The rotary embedding beside the block list, if it has tables for each of `layer_types`."""
    attention: str | None = None
    """The module in a block whose first result is added to the residual stream, of a pair."""
    mlp: str | None = None
    """The module in a block whose one result is added to the residual stream."""
    pairs: bool = False
    """Whether a block returns a tuple, its first item the hidden states."""
    width: str | None = "hidden_size"
    """The config key with the last dimension of hidden states; None where stages differ in it."""


@dataclass(frozen=True)
class Family:
    """A family of models and its block lists."""

    model_type: str
    lists: tuple[BlockList, ...]


_BLOCK: dict[str, Any] = {"attention": "self_attn", "mlp": "mlp"}
_VISION_BLOCK: dict[str, Any] = {"attention": "attention", "mlp": "mlp"}
_DISTILBERT: dict[str, Any] = {
    **{"attention": "attention", "mlp": "ffn"},
    **{"repeats": ("distilbert.transformer.n_layers",)},
}
_T5_BIAS = "layer.0.SelfAttention.relative_attention_bias"


def _family(
    name: str, path: str, lists: tuple[str, ...] = (), prefixes: tuple[str, ...] = (), **more: Any
) -> Family:
    """A family with one block list."""
    return Family(name, (BlockList(path, per_layer_lists=lists, per_layer_prefixes=prefixes, **more),))


def _stages(name: str, path: str, **more: Any) -> Family:
    """A family with a block list per stage, each of its own width."""
    return Family(name, (BlockList(path, "depths.*", width=None, **more),))


FAMILIES: dict[str, Family] = {
    family.model_type: family
    for family in (
        # Decoders
        _family("falcon", "transformer.h", attention="self_attention", mlp="mlp", pairs=True),
        _family("gemma2", "model.layers", ("layer_types",), **_BLOCK),
        _family("gemma3_text", "model.layers", ("layer_types",), by_layer_type="rotary_emb", **_BLOCK),
        _family("gpt2", "transformer.h", attention="attn", mlp="mlp"),
        _family("gpt_neox", "gpt_neox.layers", attention="attention", mlp="mlp"),
        _family("llama", "model.layers", **_BLOCK),
        _family("mistral", "model.layers", **_BLOCK),
        _family("mixtral", "model.layers", **_BLOCK),
        _family("opt", "model.decoder.layers", attention="self_attn"),
        _family("phi", "model.layers", **_BLOCK),
        _family("phi3", "model.layers", **_BLOCK),
        _family("qwen2", "model.layers", ("layer_types",), ("max_window_layers",), **_BLOCK),
        _family("qwen3", "model.layers", ("layer_types",), ("max_window_layers",), **_BLOCK),
        # Encoders
        _family("bert", "bert.encoder.layer"),
        _family("clip_text_model", "text_model.encoder.layers"),
        _family("clip_vision_model", "vision_model.encoder.layers"),
        _family("deit", "deit.layers", **_VISION_BLOCK),
        _family("distilbert", "distilbert.transformer.layer", **_DISTILBERT),
        _family("roberta", "roberta.encoder.layer"),
        _family("vit", "vit.layers", **_VISION_BLOCK),
        # Two encoders
        Family(
            "clip",
            (
                BlockList(
                    "text_model.encoder.layers",
                    "text_config.num_hidden_layers",
                    width="text_config.hidden_size",
                ),
                BlockList(
                    "vision_model.encoder.layers",
                    "vision_config.num_hidden_layers",
                    width="vision_config.hidden_size",
                ),
            ),
        ),
        # Stages, a list each
        _stages("convnext", "convnext.encoder.stages.*.layers"),
        _stages("resnet", "resnet.encoder.stages.*.layers", entry="shortcut"),
        _stages("swin", "swin.encoder.layers.*.blocks", pairs=True),
        # Encoders with decoders
        Family(
            "bart",
            (
                BlockList("model.encoder.layers", "encoder_layers"),
                BlockList("model.decoder.layers", "decoder_layers", alone="num_hidden_layers"),
            ),
        ),
        Family(
            "t5",
            (
                BlockList(
                    "transformer.encoder.block",
                    "num_layers",
                    repeats=("transformer.encoder.config.num_layers",),
                    first=_T5_BIAS,
                ),
                BlockList(
                    "transformer.decoder.block",
                    "num_decoder_layers",
                    repeats=(
                        "transformer.decoder.config.num_layers",
                        "transformer.decoder.config.num_decoder_layers",
                        "transformer.encoder.config.num_decoder_layers",
                    ),
                    slots="num_layers",
                    first=_T5_BIAS,
                ),
            ),
        ),
        Family(
            "whisper",
            (
                BlockList("model.encoder.layers", "encoder_layers"),
                BlockList(
                    "model.decoder.layers",
                    "decoder_layers",
                    alone="num_hidden_layers",
                    named_heads="alignment_heads",
                ),
            ),
        ),
    )
}


def model_type(model: nn.Module) -> str | None:
    """The transformers family of `model`; None for a module that has no transformers config."""
    config = getattr(model, "config", None)
    found = getattr(config, "model_type", None)
    return found if isinstance(found, str) and hasattr(config, "to_dict") else None


def indexed_modules(block: nn.Module) -> list[tuple[str, nn.Module]]:
    """The modules in a block that keep its index, which is also its slot in the KV cache."""
    found: dict[nn.Module, str] = {}
    for path, module, _, _ in sites(block):
        if isinstance(module.__dict__.get("layer_idx"), int):
            found.setdefault(module, path)
    return [(path, module) for module, path in found.items()]


def declared_ties(model: nn.Module) -> dict[str, str]:
    """Ties the model's class makes by itself when `config.tie_word_embeddings` is set: target → source."""
    declared: Any = getattr(type(model), "_tied_weights_keys", None)
    return dict(declared) if isinstance(declared, dict) else {}
