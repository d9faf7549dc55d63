"""Adapters compute what PEFT's own layers compute with the same values."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from peft import IA3Config, LoraConfig, inject_adapter_in_model
from torch import nn

import surgery
from tests.surgery.adapters.trained import adapters_of, train

TOKENS = torch.tensor([[1, 5, 2], [7, 0, 3]])
IMAGES = torch.randn(2, 4, 9, 9, generator=torch.Generator().manual_seed(3))


class Transposed(nn.Module):
    """GPT-2's Conv1D by itself."""

    def __init__(self) -> None:
        from transformers.pytorch_utils import Conv1D

        super().__init__()
        self.layer = Conv1D(5, 6)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layer(x)


class Holder(nn.Module):
    """One layer, called."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layer(x)


X = torch.randn(3, 6, generator=torch.Generator().manual_seed(4))
LAYERS: dict[str, tuple[Callable[[], nn.Module], torch.Tensor]] = {
    "linear": (lambda: Holder(nn.Linear(6, 5)), X),
    "no bias": (lambda: Holder(nn.Linear(6, 5, bias=False)), X),
    "transposed": (Transposed, X),
    "embedding": (lambda: Holder(nn.Embedding(8, 6)), TOKENS),
    "conv2d": (lambda: Holder(nn.Conv2d(4, 6, 3, stride=2, padding=1, dilation=1)), IMAGES),
    "conv2d of one": (lambda: Holder(nn.Conv2d(4, 6, 1)), IMAGES),
    "conv1d": (lambda: Holder(nn.Conv1d(4, 6, 3, padding=2)), IMAGES[:, :, 0]),
}
LORA = {"r": 3, "lora_alpha": 5, "target_modules": ["layer"]}
CASES: list[tuple[str, str, dict[str, Any], Any]] = [
    *((name, "lora", {"rank": 3, "alpha": 5.0}, LoraConfig(**LORA)) for name in LAYERS),
    *((name, "rslora", {"rank": 3, "alpha": 5.0}, LoraConfig(**LORA, use_rslora=True)) for name in LAYERS),
    *(
        (name, "dora", {"rank": 3, "alpha": 5.0}, LoraConfig(**LORA, use_dora=True))
        for name in ("linear", "no bias", "transposed")
    ),
    *(
        (
            name,
            "ia3",
            {"side": side},
            IA3Config(target_modules=["layer"], feedforward_modules=["layer"] if side == "input" else []),
        )
        for name in ("linear", "no bias", "transposed")
        for side in ("output", "input")
    ),
]
NAMES = {"magnitude": "lora_magnitude_vector"}


@pytest.mark.parametrize("layer, kind, fields, config", CASES)
def test_as_peft(layer: str, kind: str, fields: dict[str, Any], config: Any) -> None:
    """The output with trained adapters, and after folding them in, is that of PEFT's layer."""
    torch.manual_seed(0)
    make, x = LAYERS[layer]
    model = make().eval()
    session = surgery.open(model, (x,))
    session.attach("layer", kind, **fields)
    train(session.model)
    (adapter,) = adapters_of(session.model).values()
    if layer == "transposed":
        config.fan_in_fan_out = True
    torch.manual_seed(0)
    theirs = inject_adapter_in_model(config, make().eval()).eval()
    own: Any = theirs.layer
    with torch.no_grad():
        for name, value in adapter._parameters.items():
            held = getattr(own, NAMES.get(name, name))["default"]
            target = held if isinstance(held, torch.Tensor) else held.weight
            target.copy_(value.reshape(target.shape))
        ours, wanted = session.model(x), theirs(x)
        assert torch.allclose(ours, wanted, atol=1e-6)
        assert not torch.allclose(ours, model(x), atol=1e-2)
        own.merge()
        session.fold()
        assert torch.allclose(session.model.layer.weight, own.get_base_layer().weight, atol=1e-6)
        assert torch.allclose(session.model(x), wanted, atol=1e-5)
