"""The wrappers that ship: a module inside another, which changes what goes in or comes out."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from surgery.modules.passing import first_of, with_first
from surgery.modules.register import Start, module, ours


class Wrapper(nn.Module):
    """A module called `base` inside another; model code that reads its weight or bias still finds it."""

    def __init__(self, base: nn.Module) -> None:
        super().__init__()
        self.base = base

    @property
    def weight(self) -> Any:
        """The base's weight; model code asks it for a dtype or a device."""
        return self.base.weight

    @property
    def bias(self) -> Any:
        """The base's bias."""
        return self.base.bias


class Residual(Wrapper):
    """x + base(x); of a tuple that the base returns, the first item counts."""

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """What the base is given; its first tensor is x, of the shape of the result."""
        given = _first(args, kwargs)
        result = self.base(*args, **kwargs)
        if first_of(result).shape != given.shape:
            raise ValueError(f"a residual of {list(given.shape)} and {list(first_of(result).shape)}")
        return with_first(result, given + first_of(result))


class Scale(Wrapper):
    """gate · base(x), with one number to be learned; of a tuple the first item counts."""

    def __init__(self, base: nn.Module) -> None:
        super().__init__(base)
        self.gate = nn.Parameter(torch.empty(()))

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """What the base is given."""
        result = self.base(*args, **kwargs)
        return with_first(result, self.gate * first_of(result))


class PreNorm(Wrapper):
    """base(norm(x)) for the first tensor x that it is given."""

    def __init__(self, base: nn.Module, norm: nn.Module) -> None:
        super().__init__(base)
        self.norm = norm

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """What the base is given."""
        if args:
            return self.base(self.norm(args[0]), *args[1:], **kwargs)
        name = next(iter(kwargs))
        return self.base(**{**kwargs, name: self.norm(kwargs[name])})


class PostNorm(Wrapper):
    """norm(base(x)); of a tuple the first item counts."""

    def __init__(self, base: nn.Module, norm: nn.Module) -> None:
        super().__init__(base)
        self.norm = norm

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """What the base is given."""
        result = self.base(*args, **kwargs)
        return with_first(result, self.norm(first_of(result)))


_NORM = {"weight": Start("ones"), "bias": Start("zeros")}


@ours
@module("residual", kind="wrapper", width=False)
def residual(base: nn.Module) -> nn.Module:
    """X + f(x): changes the output."""
    return Residual(base)


@ours
@module("scale", kind="wrapper", width=False, start={"gate": Start("ones")})
def scale(base: nn.Module) -> nn.Module:
    """Gate · f(x), the gate one at first: bit-equal until it is trained."""
    return Scale(base)


@ours
@module("prenorm", kind="wrapper", start=_NORM)
def prenorm(base: nn.Module, width: int, *, kind: str = "rmsnorm", eps: float = 1e-6) -> nn.Module:
    """f(norm(x)), the norm (`rmsnorm` or `layernorm`) of weight one: changes the output."""
    return PreNorm(base, _norm(kind, width, eps))


@ours
@module("postnorm", kind="wrapper", start=_NORM)
def postnorm(base: nn.Module, width: int, *, kind: str = "rmsnorm", eps: float = 1e-6) -> nn.Module:
    """norm(f(x)), the norm (`rmsnorm` or `layernorm`) of weight one: changes the output."""
    return PostNorm(base, _norm(kind, width, eps))


def _norm(kind: str, width: int, eps: float) -> nn.Module:
    if kind not in ("rmsnorm", "layernorm"):
        raise ValueError(f"kind={kind!r} is neither 'rmsnorm' nor 'layernorm'")
    return nn.RMSNorm(width, eps=eps) if kind == "rmsnorm" else nn.LayerNorm(width, eps=eps)


def _first(args: tuple[Any, ...], kwargs: dict[str, Any]) -> torch.Tensor:
    found: torch.Tensor = args[0] if args else next(iter(kwargs.values()))
    return found
