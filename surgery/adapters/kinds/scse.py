"""scSE: squeeze and excitation, gates for the channels and the places of a convolutional map."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from surgery.adapters.adapter import Adapter, Spot, between, zeros
from surgery.adapters.kinds.kind import Kind, Settings, Squeeze
from surgery.errors import SurgeryError
from surgery.lazy import Lazy
from surgery.model import Patient
from surgery.modules.passing import first_of, with_first
from surgery.modules.widths import dtype_at


class SqueezeExcite(Adapter):
    """h · (σ(c) + σ(s)) for what the base gives, h (N, C, …): c for each channel, s for each place.

    c = W₂ relu(W₁ mean(h)), s = v · h. `channel_down` W₁ is rank × C, `channel_up` W₂ C × rank, `space` v is
    (C,). W₂ and v are zero at first, where σ is ½: bit-equal. With one of both gates it counts twice.
    """

    kind = "scse"
    additive = False
    unfoldable = "has gates that hang on the input, and no one weight does that"
    squeeze: Squeeze

    def __init__(
        self, base: nn.Module, rank: int, channels: int, squeeze: Squeeze, dtype: torch.dtype
    ) -> None:
        super().__init__(base)
        self.__dict__["squeeze"] = squeeze
        if squeeze != "space":
            self.own("channel_down", (rank, channels), dtype)
            self.own("channel_up", (channels, rank), dtype)
        if squeeze != "channel":
            self.own("space", (channels,), dtype)

    def starts(self, spot: Spot) -> dict[str, Lazy]:
        own = {name: tensor for name, tensor in self._parameters.items() if tensor is not None}
        found = {name: zeros(tuple(tensor.shape), tensor.dtype) for name, tensor in own.items()}
        if "channel_down" in own:
            down = own["channel_down"]
            shape = tuple(down.shape)
            found["channel_down"] = spot.uniform("channel_down", shape, down.dtype, shape[1] ** -0.5)
        return found

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """What the base is given."""
        result = self.base(*args, **kwargs)
        if not self.active:
            return result
        h = first_of(result)
        return with_first(result, between(h, h * self._gate(h), self.strength))

    def _gate(self, h: torch.Tensor) -> torch.Tensor:
        gates: list[torch.Tensor] = []
        ones = (1,) * (h.dim() - 2)
        if self.squeeze != "space":
            mean = h.flatten(2).mean(2)
            inner = F.relu(F.linear(mean, self.channel_down))
            gates.append(F.linear(inner, self.channel_up).sigmoid().unflatten(1, (-1, *ones)))
        if self.squeeze != "channel":
            gates.append((h * self.space.view(-1, *ones)).sum(1, keepdim=True).sigmoid())
        return gates[0] + gates[1] if len(gates) == 2 else 2 * gates[0]


def _misfit(module: nn.Module) -> str | None:
    return None if _channels(module) else "has no convolution or batch norm, so it gives no channels"


def _channels(module: nn.Module) -> int | None:
    """The channels of what the last convolution or batch norm in a module gives."""
    for inner in reversed(list(module.modules())):
        if isinstance(inner, nn.modules.conv._ConvNd):
            return inner.out_channels
        if isinstance(inner, nn.modules.batchnorm._BatchNorm):
            return inner.num_features
        if isinstance(inner, nn.Linear):
            return None
    return None


def _made(patient: Patient, path: str, settings: Settings) -> Adapter:
    module = patient.module(path)
    channels = _channels(module)
    if channels is None:  # said before; a tree may differ once more is around it
        raise SurgeryError("gives no channels", path=path, got=type(module).__name__)
    return SqueezeExcite(module, settings.rank, channels, settings.squeeze, dtype_at(patient, path))


SCSE = Kind(
    name="scse",
    title="Squeeze and excitation",
    source="Hu et al. 2017, arXiv:1709.01507; Roy et al. 2018, arXiv:1803.02579",
    fields=("rank", "squeeze", "seed"),
    parameters="2*o*r + o",
    exact=True,
    suits="a convolution, a batch norm, or a block that ends with one",
    misfit=_misfit,
    make=_made,
    reads_weight=False,
)
