"""An adapter whose parameters are ours and whose computation is that of PEFT's own layer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import nn

from surgery.adapters.adapter import Adapter, Spot, between, blended, root_of
from surgery.adapters.peft.asking import Traits
from surgery.adapters.peft.described import description, parameter_names
from surgery.adapters.peft.layers import bound, owned, template
from surgery.lazy import Lazy, recipe

_Bound = tuple[tuple[Any, ...], nn.Module]


class PeftAdapter(Adapter):
    """What the layer of a PEFT type makes of the base's input; its parameters have that layer's names.

    A name in PEFT is a path (`oft_R.default.weight`); here the parts but the adapter's own name are joined by
    two underscores (`oft_R__weight`), all in the adapter itself, on meta until their values are set. The
    layer is built of `spec`, the type with its options, around the class and shape of the root; what it keeps
    beside parameters is drawn from `seed` alone.
    """

    spec: str
    described: str
    seed: int

    def __init__(self, base: nn.Module, kind: str, spec: str, traits: Traits, seed: int) -> None:
        super().__init__(base)
        described = description(root_of(base))
        assert described is not None, "what PEFT was asked about has a description"
        layer = template(spec, described, seed if traits.seeded else 0)
        self.__dict__.update(kind=kind, spec=spec, described=described, seed=seed if traits.seeded else 0)
        self.__dict__.update(additive=traits.additive, unfoldable=_unfoldable(traits, described))
        self.__dict__.update(folds=traits.folds or (), reads_weight=traits.reads_weight)
        for item in owned(layer):
            empty = torch.empty(item.shape, dtype=item.dtype, device="meta")
            self._parameters[item.name] = nn.Parameter(empty, requires_grad=item.trainable)

    def starts(self, spot: Spot) -> dict[str, Lazy]:
        names = parameter_names(self.described) if self.__dict__["reads_weight"] else ()
        held = [spot.held(name) for name in names]
        told: dict[str, Any] = {"seed": spot.seed, "path": spot.path}
        told |= {"spec": self.spec, "described": self.described}
        return {
            name: recipe("peft_start", *held, shape=tuple(item.shape), dtype=item.dtype, name=name, **told)
            for name, item in self._parameters.items()
            if item is not None
        }

    def folded(self, own: Mapping[str, Lazy], base: Mapping[str, Lazy]) -> dict[str, Lazy]:
        known = [base[name] for name in parameter_names(self.described)]
        told: dict[str, Any] = {"spec": self.spec, "described": self.described, "seed": self.seed}
        found: dict[str, Lazy] = {}
        for name in self.__dict__["folds"]:
            old = base[name]
            whole = recipe(
                "peft_merged",
                *known,
                *(own[item] for item in self._parameters),
                shape=old.shape,
                dtype=old.dtype,
                name=name,
                **told,
            )
            found[name] = blended(old, whole, self.strength)
        return found

    def layer(self) -> nn.Module:
        """PEFT's layer around the base, with the parameters as they are now."""
        own = {name: item for name, item in self._parameters.items() if item is not None}
        key = (self.spec, self.described, self.base, self.training, *own.values())
        known = _bound.get(self)
        if known is not None and len(known[0]) == len(key) and all(map(_is, known[0], key)):
            return known[1]
        made = bound(template(self.spec, self.described, self.seed), self.base, own, self.training)
        _bound[self] = key, made
        return made

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if not self.active:
            off: torch.Tensor = self.base(x)
            return off
        adapted: torch.Tensor = self.layer()(x)
        return adapted if self.strength == 1.0 else between(self.base(x), adapted, self.strength)


_bound: WeakKeyDictionary[PeftAdapter, _Bound] = WeakKeyDictionary()
"""The layer of each adapter, as long as the tensors and modules that it is bound to are the same ones."""


def _is(one: object, other: object) -> bool:
    return one is other or (isinstance(one, str | bool) and one == other)


def _unfoldable(traits: Traits, described: str) -> str | None:
    if traits.folds is None:
        return traits.why_no_fold
    if set(parameter_names(described)) - {"weight", "bias"}:
        return "is about a module whose parameters are no weight and bias"
    return None
