"""Token ids."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from surgery.sources.forward import Forward

LENGTH = 128
"""Positions in the example; MACs per token are those at this length."""

FEW = 16
"""Ids that any vocabulary has."""

_TEXT = (
    "text_config",
    "language_config",
    "llm_config",
    "text_encoder",
    "text_model_config",
    "encoder",
    "encoder_config",
)
_DECODER = ("decoder", "decoder_config", "text_config", "text_decoder")
_VOCABULARY = ("vocab_size", "text_vocab_size", "num_embeddings")
_LONGEST = ("max_position_embeddings", "n_positions", "max_seq_len", "seq_length", "max_length_text")
_OF_TEXT = ("pad", "bos", "eos", "sep", "cls", "unk", "mask", "decoder", "forced")


def input_ids(forward: Forward, taken: int = 0) -> torch.Tensor:
    """Ids (1, length), int64, that differ between positions and stand for text alone.

    `taken` positions are for something else.
    """
    length = min(LENGTH, max(_longest(forward, _LONGEST, _TEXT) - taken, 1))
    return ids(forward, length, forward.number(_VOCABULARY, *_TEXT) or _embedded(forward.model))


def decoder_input_ids(forward: Forward) -> torch.Tensor:
    """Ids (1, length), int64, for the decoder of an encoder–decoder."""
    length = min(LENGTH, _longest(forward, ("max_target_positions", *_LONGEST), _DECODER))
    return ids(forward, length, forward.number(("decoder_vocab_size", *_VOCABULARY), *_DECODER))


def ids(forward: Forward, length: int, vocabulary: int | None) -> torch.Tensor:
    """Ids (1, length) below `vocabulary`, or below FEW if that is unknown; none stands for image or sound."""
    taken = placeholders(forward)
    usable = [index for index in range(min(vocabulary or FEW, length + len(taken))) if index not in taken]
    return torch.tensor(usable or [0])[torch.arange(length) % max(len(usable), 1)].unsqueeze(0)


def placeholders(forward: Forward) -> set[int]:
    """Ids that stand for something other than text."""
    found: set[int] = set()
    for part in forward.parts(*_TEXT, "thinker_config"):
        for name, value in vars(part).items():
            named = name.endswith(("_token_id", "_token_index")) and name.split("_")[0] not in _OF_TEXT
            if named and isinstance(value, int):
                found.add(value)
    return found


def _longest(forward: Forward, fields: tuple[str, ...], parts: tuple[str, ...]) -> int:
    """How many positions the model can tell apart, as far as its config or its tables say."""
    longest = forward.number(fields, *parts) or LENGTH
    for name, module in forward.model.named_modules():
        # Tables that keep places for padding, as RoBERTa's do, have fewer for text.
        if "position" in name and isinstance(module, nn.Embedding) and module.padding_idx is not None:
            longest = min(longest, module.num_embeddings - module.padding_idx - 1)
    return max(longest, 1)


def _embedded(model: Any) -> int | None:
    try:
        table = model.get_input_embeddings()
    except (AttributeError, NotImplementedError):
        return None
    return table.num_embeddings if isinstance(table, nn.Embedding) else None


TEXT = {"input_ids": input_ids, "decoder_input_ids": decoder_input_ids}
