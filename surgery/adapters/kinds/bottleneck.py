"""Bottleneck adapters: a small network behind a module, added to what it gives. Houlsby et al. 2019."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from surgery.adapters.adapter import Adapter, Spot, zeros
from surgery.adapters.kinds.kind import Activation, Kind, Settings
from surgery.errors import SurgeryError
from surgery.lazy import Lazy
from surgery.model import Patient
from surgery.modules.passing import first_of, with_first
from surgery.modules.widths import dtype_at, width_at

_ACTIVATIONS: dict[Activation, Callable[[torch.Tensor], torch.Tensor]] = {
    "relu": F.relu,
    "gelu": F.gelu,
    "silu": F.silu,
    "tanh": torch.tanh,
}


class Bottleneck(Adapter):
    """h + U σ(D h + a) + b for what the base gives, h; of a tuple the first item. U = 0 and b = 0 at first.

    `down` D is rank × width, `up` U width × rank, `down_bias` a and `up_bias` b are (rank,) and (width,).
    """

    kind = "bottleneck"
    additive = False
    unfoldable = "is a network behind the module, with an activation inside, and no change of its weight"
    activation: Activation

    def __init__(
        self, base: nn.Module, rank: int, width: int, activation: Activation, dtype: torch.dtype
    ) -> None:
        super().__init__(base)
        self.__dict__["activation"] = activation
        self.own("down", (rank, width), dtype)
        self.own("down_bias", (rank,), dtype)
        self.own("up", (width, rank), dtype)
        self.own("up_bias", (width,), dtype)

    def starts(self, spot: Spot) -> dict[str, Lazy]:
        shapes = {name: tuple(self.get_parameter(name).shape) for name in self._parameters}
        dtype = self.down.dtype
        drawn = spot.uniform("down", shapes["down"], dtype, self.down.shape[1] ** -0.5)
        return {name: drawn if name == "down" else zeros(shape, dtype) for name, shape in shapes.items()}

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """What the base is given."""
        result = self.base(*args, **kwargs)
        if not self.active:
            return result
        h = first_of(result)
        inner = _ACTIVATIONS[self.activation](F.linear(h, self.down, self.down_bias))
        added = F.linear(inner, self.up, self.up_bias)
        return with_first(result, h + (added if self.strength == 1.0 else self.strength * added))


def _misfit(module: nn.Module) -> str | None:
    if isinstance(module, nn.ModuleList | nn.ModuleDict | nn.modules.conv._ConvNd):
        return "gives nothing whose last dimension a small network could take"
    return None


def _made(patient: Patient, path: str, settings: Settings) -> Adapter:
    width = width_at(patient, path, "after")
    if width is None:
        raise SurgeryError(
            "how wide its output is does not follow from what is in it",
            path=path,
            got=type(patient.module(path)).__name__,
            hint="a linear layer, a norm, an attention or an MLP",
        )
    dtype = dtype_at(patient, path)
    return Bottleneck(patient.module(path), settings.rank, width, settings.activation, dtype)


BOTTLENECK = Kind(
    name="bottleneck",
    title="Bottleneck",
    source="Houlsby et al. 2019, arXiv:1902.00751",
    fields=("rank", "activation", "seed"),
    parameters="2*o*r + r + o",
    exact=True,
    suits="a module whose output's last dimension is known",
    misfit=_misfit,
    make=_made,
    reads_weight=False,
)
