"""What a type of PEFT does on a class of modules: asked of PEFT with a small module, once each."""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cache, lru_cache
from itertools import chain
from typing import Any

import torch
from torch import nn

from surgery.adapters.peft.described import standing_in
from surgery.adapters.peft.layers import bound, built, injected, owned, state, values
from surgery.adapters.peft.tiny import example, filled, halved, tiny
from surgery.recipes import one_thread

_MOVED = 0.1
_SHARED = "shares tensors between all its layers in a model, so that none can be made or taken off by itself"
_CLOSE = 1e-4
"""How far two outputs may lie apart, in parts of the larger, to be called the same."""


@dataclass(frozen=True)
class Traits:
    """What holds of a type's layers on a class of modules; `why_not` says why they do not go there, in
    PEFT's own words where it `raised`.

    `exact`: at first the output is bit-equal at any size, `near`: to rounding. `reads_weight`: what a
    parameter starts from is computed of the module's. `seeded`: fixed tensors beside the parameters hang on
    the seed. `additive`: what it adds hangs on the input alone, not on what the module gives, nor on its
    weight. `folds`: the module's parameters that are
    others once it is merged; None with `why_no_fold` where PEFT's merge is no change of them, or another one.
    """

    why_not: str | None = None
    raised: bool = False
    exact: bool = False
    near: bool = False
    reads_weight: bool = False
    seeded: bool = False
    additive: bool = False
    folds: tuple[str, ...] | None = None
    why_no_fold: str | None = None

    @property
    def identity(self) -> bool:
        """Whether the output is what it was at first, at least to rounding."""
        return self.exact or self.near


class _Shifted(nn.Module):
    """A module whose output is that of another, moved: as if an adapter were there already."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.__dict__["inner"] = inner
        self._parameters.update(inner._parameters)
        self.training = inner.training

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:
            return getattr(self.__dict__["inner"], name)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = self.__dict__["inner"](x) * 1.5 + 0.25
        return found


def _adds(layer: nn.Module, base: nn.Module, own: Mapping[str, torch.Tensor], x: torch.Tensor) -> bool:
    """Whether it adds the same to whatever its base gives."""
    around = _Shifted(base)
    try:
        moved = bound(layer, around, own)(x) - around(x)
    except Exception:  # it knows its base by the class
        return False
    return _close(moved, bound(layer, base, own)(x) - base(x))


def _adds_the_same(
    layer: nn.Module, base: nn.Module, other: nn.Module, own: Mapping[str, torch.Tensor], x: torch.Tensor
) -> bool:
    """Whether it adds the same to a module of another weight: HiRA's is a multiple of each entry."""
    added, else_added = (bound(layer, around, own)(x) - around(x) for around in (base, other))
    return _close(added, else_added)


def traits(spec: str, module: nn.Module, *, sides: bool = True) -> Traits:
    """The traits of a spec on a module's class; on the smallest of its kind that PEFT takes.

    With `sides` also on one whose sides can be divided as this module's can.
    """
    refused = None
    for described in chain(tiny(module), halved(module) if sides else ()):
        found = _asked(spec, described)
        if found.why_not is None:
            return found
        refused = refused or found
    if refused is not None:
        return refused
    return Traits(why_not="is of a class of which no small module can be made to ask PEFT with")


@lru_cache(maxsize=4096)
def _asked(spec: str, described: str) -> Traits:
    try:
        with one_thread(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of small modules, which nobody has
            return _found(spec, described)
    except Exception as error:  # whatever PEFT raises is its answer
        return Traits(why_not=said(error), raised=True)


@cache
def never(kind: str) -> str | None:
    """Why a type goes around no module, as PEFT's own classes say it; None for one that may."""
    from peft import PromptLearningConfig
    from peft.mapping import PEFT_TYPE_TO_CONFIG_MAPPING, PEFT_TYPE_TO_TUNER_MAPPING

    if (settings := PEFT_TYPE_TO_CONFIG_MAPPING.get(kind)) is None:
        return "is in PEFT's list without a configuration"
    tuner: Any = PEFT_TYPE_TO_TUNER_MAPPING.get(kind)
    if issubclass(settings, PromptLearningConfig):
        return "learns a prompt for the whole model and goes around no module"
    if getattr(tuner, "uses_shared_state", False):
        return _SHARED
    if not any(item.name == "target_modules" for item in fields(settings)):
        return "is configured for a whole model, not for modules"
    return None


def said(error: Exception) -> str:
    """The first sentence of what PEFT raised."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text[:240]


def _found(spec: str, described: str) -> Traits:
    if (why := never(json.loads(spec)["type"])) is not None:
        return Traits(why_not=why)
    weights = [filled(described, seed) for seed in (1, 2)]
    one, again, other = (built(spec, standing_in(described, _own(weights[at])), 5) for at in (0, 0, 1))
    if _get_base(one) is None:
        return Traits(why_not="puts nothing around the module")
    told = owned(one)
    if not told:
        return Traits(why_not="has no parameters there")
    if not (_same(values(one), values(again)) and _same(state(one), state(again))):
        return Traits(why_not="draws other values from the same seed, so that no script could repeat it")
    if not _same(_parameters(_get_base(one)), weights[0]):
        return Traits(why_not="changes the module's own weight when it is attached")
    if [(item.name, item.shape) for item in told] != [(item.name, item.shape) for item in owned(other)]:
        return Traits(why_not="has a number of parameters that hangs on the values of the weight")
    if not _same(state(one), state(other)):
        return Traits(why_not="keeps tensors beside its parameters that are computed of the weight")
    if shared := _shared(spec, described, one):
        return Traits(why_not=shared)
    seeded = not _same(state(one), state(built(spec, standing_in(described, _own(weights[0])), 6)))
    base = standing_in(described, weights[0])
    x = example(base)
    with torch.no_grad():
        before, first = base(x), bound(one, base, values(one))(x)
        drawn = torch.Generator().manual_seed(9)
        moved = {
            name: value + _MOVED * torch.randn(value.shape, generator=drawn).to(value.dtype)
            if value.is_floating_point()
            else value
            for name, value in values(one).items()
        }
        after = bound(one, base, moved)(x)
        if after.shape != before.shape or not torch.isfinite(after).all():
            return Traits(why_not="gives outputs of another shape, or none that are numbers")
        adds = _adds(one, base, moved, x)
        additive = adds and _adds_the_same(one, base, standing_in(described, weights[1]), moved, x)
        folds, why = _folds(one, described, weights[0], moved, x, after)
    return Traits(
        exact=adds and torch.equal(before, first),
        near=_close(before, first, 1e-5),
        reads_weight=not _same(values(one), values(other)),
        seeded=seeded,
        additive=additive,
        folds=folds,
        why_no_fold=why,
    )


def _folds(
    layer: nn.Module,
    described: str,
    weights: Mapping[str, torch.Tensor],
    moved: Mapping[str, torch.Tensor],
    x: torch.Tensor,
    wanted: torch.Tensor,
) -> tuple[tuple[str, ...] | None, str | None]:
    """The parameters that merging changes, or why it is no way to the same output."""
    try:
        merged = merge(layer, described, weights, moved)
        after = standing_in(described, merged)(x)
    except Exception as error:
        return None, f"is not merged by PEFT: {said(error)}"
    if merged.keys() != weights.keys():
        return None, "is merged by PEFT into a parameter that the module does not have"
    if not _close(after, wanted, 1e-3):
        return None, "is merged by PEFT into a weight that computes something else"
    return tuple(name for name in merged if not torch.equal(merged[name], weights[name])), None


def merge(
    layer: nn.Module, described: str, weights: Mapping[str, torch.Tensor], own: Mapping[str, torch.Tensor]
) -> dict[str, torch.Tensor]:
    """The parameters of the module once PEFT has merged a layer with these values into it."""
    base = standing_in(described, _own(weights))
    made = bound(layer, base, own)
    made.merge()  # type: ignore[operator]
    return _parameters(_get_base(made))


def _shared(spec: str, described: str, alone: nn.Module) -> str | None:
    """Why the layers of one model cannot be made one by one; None where they can."""
    data = json.loads(described)
    data["parameters"] = {
        name: None if told is None else [[2 * size for size in told[0]], told[1]]
        for name, told in data["parameters"].items()
    }
    for key in (
        "in_features",
        "out_features",
        "num_embeddings",
        "embedding_dim",
        "nf",
        "nx",
        "in_channels",
        "out_channels",
    ):
        if key in data["attributes"]:
            data["attributes"][key] *= 2
    members = {
        "a": standing_in(described, filled(described, 1)),
        "b": standing_in(described, filled(described, 3)),
    }
    if not any(key in data["attributes"] for key in ("kernel_size", "normalized_shape")) and any(
        key in data["attributes"] for key in ("in_features", "num_embeddings", "nf")
    ):
        wide = json.dumps(data)
        members["c"] = standing_in(wide, filled(wide, 4))
    layers = injected(spec, members, 5)
    known = set[int]()
    for layer in layers.values():
        tensors = {id(item) for item in (*_raw(layer), *state(layer).values())}
        if tensors & known:
            return _SHARED
        known |= tensors
    first = layers["a"]
    shapes = [{name: item.shape for name, item in state(layer).items()} for layer in (first, alone)]
    if shapes[0] != shapes[1]:
        return "has tensors whose size hangs on the other layers of the model"
    return None


def _raw(layer: nn.Module) -> list[nn.Parameter]:
    return [item for path, item in layer.named_parameters() if path.split(".")[0] != "base_layer"]


def _get_base(layer: nn.Module) -> nn.Module:
    found: Any = getattr(layer, "get_base_layer", lambda: None)()
    made: nn.Module = found
    return made


def _parameters(module: nn.Module) -> dict[str, torch.Tensor]:
    return {name: item.detach() for name, item in module._parameters.items() if item is not None}


def _own(tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name: tensor.detach().clone() for name, tensor in tensors.items()}


def _same(one: Mapping[str, torch.Tensor], other: Mapping[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(
        one[name].shape == other[name].shape and torch.equal(one[name], other[name]) for name in one
    )


def _close(one: torch.Tensor, other: torch.Tensor, part: float = _CLOSE) -> bool:
    scale = max(float(one.abs().max()), float(other.abs().max()), 1e-6)
    return float((one - other).abs().max()) <= part * scale
