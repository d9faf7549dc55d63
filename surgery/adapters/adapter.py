"""What every adapter is: a module called `base` inside another, which may be switched off and weighed."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import nn

from surgery.errors import SurgeryError
from surgery.lazy import Held, Lazy, recipe

_META = torch.device("meta")


@dataclass(frozen=True)
class Spot:
    """Where an adapter goes: the `path` it is drawn for, the `seed`, and the tensors of the module it wraps.

    `held` gives the parameter of the innermost base by its name there.
    """

    path: str
    seed: int
    held: Callable[[str], Held]

    def uniform(self, name: str, shape: tuple[int, ...], dtype: torch.dtype, bound: float) -> Lazy:
        """Uniform in ± `bound`, drawn for the parameter `name` of the adapter."""
        drawn = f"{self.path}.{name}"
        return recipe("uniform", shape=shape, dtype=dtype, low=-bound, high=bound, seed=self.seed, path=drawn)


def zeros(shape: tuple[int, ...], dtype: torch.dtype) -> Lazy:
    """A parameter that starts at zero."""
    return recipe("zeros", shape=shape, dtype=dtype)


class Adapter(nn.Module):
    """base(x), or what the adapter makes of it: base(x) + strength · (adapted(x) − base(x)) while active.

    Subclasses have parameters of their own and no modules but the base. What is not said at an object is at
    its class, so that an adapter as attached has no attribute that says nothing.
    """

    kind: str = ""
    name: str = "default"
    active: bool = True
    strength: float = 1.0
    additive: ClassVar[bool] = True
    """Whether what it adds hangs on the input alone, not on what the base makes of it."""
    unfoldable: ClassVar[str | None] = None
    """Why it is no change of the weight; None where it is one."""
    base: nn.Module

    def __init__(self, base: nn.Module) -> None:
        super().__init__()
        # Put where torch would put it: torch asks what it is, which takes longer than all the rest.
        self._modules["base"] = base
        self.__dict__["training"] = base.training

    def own(self, name: str, shape: tuple[int, ...], dtype: torch.dtype) -> None:
        """A parameter of its own, on meta until its values are set."""
        self._parameters[name] = nn.Parameter(torch.empty(shape, dtype=dtype, device=_META))

    def starts(self, spot: Spot) -> dict[str, Lazy]:
        """What each of its parameters starts from."""
        raise NotImplementedError

    def shares(self, role: str) -> Mapping[str, Hashable]:
        """Which of its parameters are one with those of others that say the same here.

        `role` is the last part of the path.
        """
        return {}

    def folded(self, own: Mapping[str, Lazy], base: Mapping[str, Lazy]) -> dict[str, Lazy]:
        """The base's parameters, by name, that are others once it is part of them, at its strength."""
        raise NotImplementedError

    def reading(self) -> tuple[Hashable, ...]:
        """What it reads its parameters by: two adapters that differ here compute different things of them."""
        known = {key: value for key, value in self.__dict__.items() if isinstance(value, int | float | str)}
        known |= {"active": self.active, "strength": self.strength}
        told = sorted((key, str(value)) for key, value in known.items() if key not in ("name", "training"))
        return type(self).__name__, *told

    @property
    def weight(self) -> torch.Tensor:
        """The innermost base's weight; model code asks it for a dtype or a device."""
        found: torch.Tensor = root_of(self).weight  # type: ignore[assignment]
        return found

    @property
    def bias(self) -> torch.Tensor | None:
        """The innermost base's bias, None where it has none."""
        return getattr(root_of(self), "bias", None)

    def __getattr__(self, name: str) -> Any:
        # A model's code asks its blocks and layers for more than their weights.
        for held in ("_parameters", "_modules", "_buffers"):
            found = self.__dict__.get(held) or {}
            if name in found:
                return found[name]
        base = (self.__dict__.get("_modules") or {}).get("base")
        if base is None or name.startswith("_"):
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        return getattr(base, name)


def base_of(module: nn.Module) -> nn.Module:
    """The module that an adapter wraps."""
    return module.get_submodule("base")


def root_of(module: nn.Module) -> nn.Module:
    """The module inside all adapters around it; itself where it carries none."""
    while isinstance(module, Adapter):
        module = module.base
    return module


def blended(old: Lazy, new: Lazy, strength: float) -> Lazy:
    """What lies between two tensors of one shape: old + strength · (new − old)."""
    return new if strength == 1.0 else recipe("weighted_sum", old, new, weights=(1.0 - strength, strength))


def between(old: torch.Tensor, new: torch.Tensor, strength: float) -> torch.Tensor:
    """The same of two outputs; the very `new` at strength 1."""
    return new if strength == 1.0 else old + strength * (new - old)


def refuse_cut(module: nn.Module, path: str) -> None:
    """SurgeryError for the whole model, which nothing could hold in its place."""
    if not path:
        raise SurgeryError(
            f"the whole model is one {type(module).__name__}, which nothing could hold in its place",
            hint="opening it inside an nn.Sequential",
        )
