"""What makers of zoo models share: the kinds of inputs, example ids, a transformers model of a config."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

Inputs = dict[str, Tensor] | tuple[Tensor, ...]
Maker = Callable[[], tuple[nn.Module, Inputs]]
VOCABULARY, LENGTH = 64, 8

SIZES = {"hidden_size": 32, "num_attention_heads": 4, "max_position_embeddings": 64}
"""Of a transformer of the zoo, as most configs call them."""

GROUPED = SIZES | {"intermediate_size": 48, "num_key_value_heads": 2}
"""Of one whose query heads share keys and values two by two."""


def ids(batch: int = 2, length: int = LENGTH) -> Tensor:
    """Ids (batch, length) that differ between positions."""
    return torch.arange(batch * length).reshape(batch, length) * 7 % VOCABULARY


def built(config_class: str, model_class: str, **more: Any) -> nn.Module:
    """The transformers model of a config, in eval mode, its random weights fixed."""
    import transformers  # slow to import: only the models that need it pay

    torch.manual_seed(0)
    config = getattr(transformers, config_class)(**more)
    return getattr(transformers, model_class)(config).eval()


def decoder(config_class: str, model_class: str, **more: Any) -> nn.Module:
    """A transformers decoder over the zoo's vocabulary, without special tokens."""
    special = {"bos_token_id": None, "eos_token_id": None, "pad_token_id": None}
    return built(config_class, model_class, **{"vocab_size": VOCABULARY} | special | more)
