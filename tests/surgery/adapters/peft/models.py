"""Two layers of a class in a model by itself, and PEFT's own model of the same."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

import surgery
from surgery.adapters.peft.adapter import PeftAdapter
from surgery.adapters.peft.kinds import fitting
from surgery.session import Session


class Pair(nn.Module):
    """a(x) + b(x) for two layers that are made alike."""

    def __init__(self, make: Callable[[], nn.Module]) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.net = nn.ModuleDict({"a": make(), "b": make()})

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = self.net["a"](x) + self.net["b"](x)
        return found


_DRAWN = torch.Generator().manual_seed(5)
LAYERS: dict[str, tuple[Callable[[], nn.Module], torch.Tensor]] = {
    "Linear": (lambda: nn.Linear(256, 256), torch.randn(2, 3, 256, generator=_DRAWN)),
    "Conv2d": (lambda: nn.Conv2d(8, 16, 3, padding=1), torch.randn(2, 8, 7, 7, generator=_DRAWN)),
    "Embedding": (lambda: nn.Embedding(12, 16), torch.randint(0, 12, (2, 5), generator=_DRAWN)),
    "LayerNorm": (lambda: nn.LayerNorm(16), torch.randn(2, 3, 16, generator=_DRAWN)),
}


def types_on(layer: str) -> list[str]:
    """The types that the installed PEFT has for such a layer."""
    return list(fitting(LAYERS[layer][0]()))


def attached(layer: str, kind: str | None, **fields: Any) -> tuple[Session, torch.Tensor]:
    """A session with adapters of a kind on both layers, or none, and an input."""
    make, x = LAYERS[layer]
    session = surgery.open(Pair(make).eval(), (x,))
    if kind is None:
        return session, x
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of those that are not the identity: that is a test of its own
        session.attach("net.*", kind, **fields)
    return session, x


def theirs(session: Session, layer: str, config: Any) -> Any:
    """PEFT's model of a fresh pair, its adapters with the values that those of the session have."""
    from peft import PeftModel

    make, _ = LAYERS[layer]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made = PeftModel(Pair(make).eval(), config).eval()
    known = dict(made.base_model.model.named_parameters())
    for path, adapter in session.model.named_modules():
        if isinstance(adapter, PeftAdapter):
            held = {
                name.removeprefix(f"{path}.").replace(".default", "").replace(".", "__"): item
                for name, item in known.items()
                if name.startswith(f"{path}.") and ".base_layer." not in name
            }
            assert held.keys() == adapter._parameters.keys()
            with torch.no_grad():
                for name, item in held.items():
                    item.copy_(adapter.get_parameter(name))
    return made
