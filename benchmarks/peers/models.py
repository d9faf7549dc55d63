"""The models that tools are given: the zoo, the shapes of large decoders, and deep or long ones."""

from typing import Any

import torch
from torch import nn

SHAPES = {
    "Llama 70B": {
        "hidden_size": 8192,
        "intermediate_size": 28672,
        "num_hidden_layers": 80,
        "num_attention_heads": 64,
        "num_key_value_heads": 8,
        "vocab_size": 128256,
    },
    "Llama 405B": {
        "hidden_size": 16384,
        "intermediate_size": 53248,
        "num_hidden_layers": 126,
        "num_attention_heads": 128,
        "num_key_value_heads": 8,
        "vocab_size": 128256,
    },
}


def zoo_model(name: str) -> tuple[nn.Module, Any]:
    """A model of the zoo, or one of EXTREMES. None keeps a cache: no tool draws what lies in one."""
    from tests.zoo import ATLAS

    if name in EXTREMES:
        return EXTREMES[name]()
    model, inputs = ATLAS[name]()
    for module in model.modules():
        config: Any = getattr(module, "config", None)
        if hasattr(config, "use_cache"):
            config.use_cache = False
    return model, inputs


def known_to_export() -> None:
    """torch.export wants the dataclasses that a model returns to be registered."""
    from tests.zoo.shapes import Estimate

    torch.export.register_dataclass(Estimate)


def zoo_names() -> list[str]:
    """Every model of the zoo."""
    from tests.zoo import ATLAS

    return list(ATLAS)


def imported_shape(name: str) -> Any:
    """The config of a shape, everything imported that building it takes."""
    from transformers import LlamaConfig
    from transformers.models.llama import modeling_llama  # noqa: F401

    return LlamaConfig(architectures=["LlamaForCausalLM"], **SHAPES[name])


def shape_of_ours(config: Any) -> tuple[nn.Module, Any]:
    """What `surgery.open(config)` opens: the structure, parameters on meta, and example inputs."""
    from surgery.sources import opened

    made = opened(config)
    return made.model, made.inputs


def shape_on_meta(config: Any) -> tuple[nn.Module, Any]:
    """The same for a peer, all of it on meta: the only way it fits in memory."""
    from transformers import LlamaForCausalLM

    with torch.device("meta"):
        model = LlamaForCausalLM(config).eval()
        ids = torch.zeros(1, 16, dtype=torch.int64)
    config.use_cache = False
    return model, {"input_ids": ids}


class _Nested(nn.Module):
    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.inner(x)
        return out


def _nested() -> tuple[nn.Module, Any]:
    model: nn.Module = nn.Linear(8, 8)
    for _ in range(1_000):
        model = _Nested(model)
    model.training = False
    return model, (torch.zeros(2, 8),)


def _layers() -> tuple[nn.Module, Any]:
    return nn.Sequential(*(nn.Linear(8, 8) for _ in range(5_000))).eval(), (torch.zeros(2, 8),)


EXTREMES = {"1000 nested modules": _nested, "5000 layers": _layers}
