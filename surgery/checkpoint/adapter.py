"""Adapters in PEFT's format as parents: the model that the adapter makes of another, tensor by tensor."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Collection
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from surgery import fence
from surgery.checkpoint.hub import is_on_hub
from surgery.checkpoint.tensors import Checkpoint
from surgery.errors import SurgeryError
from surgery.fingerprint import combined
from surgery.lazy import Held, Lazy, Stored, recipe

if TYPE_CHECKING:
    from torch import nn

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
_PREFIX = "base_model.model."
_FACTORS = {
    "lora_A.weight": "down",
    "lora_B.weight": "up",
    "lora_embedding_A": "down",
    "lora_embedding_B": "up",
    "lora_magnitude_vector": "magnitude",
    "lora_magnitude_vector.weight": "magnitude",
}
_PLAIN: dict[str, tuple[Any, ...]] = {
    "target_parameters": ([],),
    "bias": ("none",),
    "lora_bias": (False,),
    "layer_replication": ([],),
    "use_qalora": (False,),
    "alora_invocation_tokens": ([],),
    "init_lora_weights": (True, False, "gaussian", "eva", "orthogonal"),  # others change the base as well
}
"""Settings that would say of more than factors, and the values with which they say of none."""


@dataclass(frozen=True)
class Factors:
    """What an adapter has for one weight: A (r × inputs), B (outputs × r), DoRA's magnitudes (outputs)."""

    down: Stored
    up: Stored
    magnitude: Stored | None
    scale: float
    transposed: bool


@dataclass(frozen=True)
class Adapter:
    """A LoRA adapter on a base, by default the model that is merged; it serves where a checkpoint does.

    Scaled by alpha / r, or alpha / √r where it is rank-stabilised (arXiv:2312.03732), with ranks and alphas
    of single modules; DoRA (arXiv:2402.09353) gives each output its stored magnitude.
    """

    checkpoint: Checkpoint
    factors: dict[str, Factors]
    whole: dict[str, Stored]
    base: Checkpoint | None = None

    @property
    def folder(self) -> Path:
        """Where it lies."""
        return self.checkpoint.folder

    @property
    def source(self) -> str:
        """As a script says it."""
        own = str(self.folder)
        return own if self.base is None else f"{self.base.source}+{own}"

    @classmethod
    def at(cls, folder: Path, base: Checkpoint | None = None) -> Adapter:
        """The adapter in a folder; SurgeryError for one of another kind, and for what it has beside LoRA."""
        config = _config(folder)
        checkpoint = Checkpoint.at(folder / WEIGHTS)
        parts: dict[str, dict[str, Stored]] = {}
        whole: dict[str, Stored] = {}
        for name, entry in checkpoint.entries.items():
            path = name.removeprefix(_PREFIX).replace(".base_layer.", ".")
            for ending, part in _FACTORS.items():
                if path.endswith(f".{ending}"):
                    weight = f"{path.removesuffix(f'.{ending}')}.weight"
                    parts.setdefault(weight, {})[part] = entry.lazy()
                    break
            else:
                if "lora_" in path:
                    raise SurgeryError(
                        "is a part of an adapter that is not known here", path=name, got=str(folder)
                    )
                whole[path] = entry.lazy()
        factors = {weight: _factors(weight, found, config, folder) for weight, found in parts.items()}
        return cls(replace(checkpoint, folder=folder), factors, whole, base)

    def for_model(self, model: nn.Module) -> Adapter:
        """The same adapter, its base with the names that the tensors have in `model`."""
        return self if self.base is None else replace(self, base=self.base.for_model(model))

    def names(self) -> list[str]:
        """The names of the weights it changes, and those its base has."""
        return sorted({*self.factors, *self.whole, *(() if self.base is None else self.base.names())})

    def tensor(self, names: list[str], like: Held, *, free: Collection[int] = ()) -> Lazy:
        """What it makes of the tensor that the model has at these paths.

        Along the dimensions that are `free` that of its own base may have another size.
        """
        start: Lazy = like if self.base is None else self.base.tensor(names, like, free=free)
        said = [name for name in names if name in self.whole or name in self.factors]
        if said and len(names) > 1:
            raise SurgeryError(
                "are one tensor in the model, and this adapter changes them by one name",
                path=" and ".join(names),
                got=f"{said[0]} in {self.folder}",
                hint=f'`untie("{names[-1].rpartition(".")[0]}")` first',
            )
        for name in names:
            if name in self.whole:
                start = _shaped(self.whole[name], name, start, self.folder)
            if name in self.factors:
                return _adapted(start, self.factors[name], name, self.folder)
        return start

    def fingerprint(self) -> str:
        """Of the tensors, the settings, and the base if it has one of its own."""
        settings = json.dumps(_config(self.folder), sort_keys=True)
        base = "" if self.base is None else self.base.fingerprint()
        return combined([self.checkpoint.fingerprint(), settings, base])


@dataclass(frozen=True)
class OtherAdapter:
    """An adapter of one of PEFT's other types: `adopt` reads it, and no merge does."""

    folder: Path
    checkpoint: Checkpoint
    config: dict[str, Any]

    @property
    def source(self) -> str:
        """As a script says it."""
        return str(self.folder)

    def fingerprint(self) -> str:
        """Of the tensors and the settings."""
        return combined([self.checkpoint.fingerprint(), json.dumps(self.config, sort_keys=True)])


def adapter_at(source: str) -> Checkpoint | Adapter | OtherAdapter:
    """What `parent_at` gives, and an adapter of another type than LoRA as that."""
    fence.reading("" if is_on_hub(source) else source)
    try:
        place = Path(source).expanduser()
        alone = (place / CONFIG).is_file() and not (place / "config.json").is_file()
        told = json.loads((place / CONFIG).read_text(encoding="utf-8")) if alone else None
    except (OSError, ValueError, RuntimeError, RecursionError):
        told = None
    if not isinstance(told, dict) or told.get("peft_type") in (None, "LORA"):
        return parent_at(source)
    found = place.resolve()
    return OtherAdapter(found, Checkpoint.at(found / WEIGHTS), told)


def parent_at(source: str) -> Checkpoint | Adapter:
    """A checkpoint, an adapter on the model it is merged with, or `BASE+ADAPTER`."""
    base, plus, adapter = source.rpartition("+")
    for part in (adapter if plus else "", "" if is_on_hub(source) else source):
        fence.reading(part)
    try:
        place, beside = Path(source).expanduser(), Path(adapter).expanduser()
        if plus and (beside / CONFIG).is_file() and not place.exists():
            return Adapter.at(beside.resolve(), Checkpoint.at(base))
        is_adapter = (place / CONFIG).is_file() and not (place / "config.json").is_file()
    except (OSError, ValueError, RuntimeError):  # a name that no file can have, a home that nobody has
        raise SurgeryError("there is no such folder", path=f"{source[:80]!r}") from None
    return Adapter.at(place.resolve()) if is_adapter else Checkpoint.at(source)


def _config(folder: Path) -> dict[str, Any]:
    try:
        config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        raise SurgeryError("cannot be read", path=str(folder / CONFIG)) from None
    if not isinstance(config, dict) or config.get("peft_type") != "LORA":
        kind = config.get("peft_type") if isinstance(config, dict) else type(config).__name__
        raise SurgeryError("is an adapter of another kind", path=str(folder), got=kind, expected="LORA")
    for key, plain in _PLAIN.items():
        if config.get(key) not in (None, *plain):
            raise SurgeryError(f"has a {key}, which is not merged yet", path=str(folder), got=config[key])
    return config


def _factors(weight: str, found: dict[str, Stored], config: dict[str, Any], folder: Path) -> Factors:
    if missing := {"down", "up"} - found.keys():
        raise SurgeryError("lacks a factor", path=f"{folder}: {weight}", expected=min(missing))
    module = weight.removesuffix(".weight")
    rank = _of_module(config.get("rank_pattern"), module, config.get("r"))
    alpha = _of_module(config.get("alpha_pattern"), module, config.get("lora_alpha"))
    known = isinstance(rank, int) and rank > 0 and isinstance(alpha, int | float) and math.isfinite(alpha)
    if not known or len(found["down"].shape) != 2 or len(found["up"].shape) != 2:
        raise SurgeryError(
            "has no rank and alpha, or factors that are no matrices",
            path=f"{folder}: {module}",
            got=f"{rank}, {alpha}",
        )
    if found["down"].shape[0] != rank or found["up"].shape[-1] != rank:
        raise SurgeryError(
            "has another rank than its settings say",
            path=f"{folder}: {module}",
            got=found["down"].shape[0],
            expected=rank,
        )
    scale = alpha / (math.sqrt(rank) if config.get("use_rslora") else rank)
    turned = bool(config.get("fan_in_fan_out"))
    return Factors(found["down"], found["up"], found.get("magnitude"), scale, turned)


_PATTERN = re.compile(r"\^?(\w|\.|\\\.|\\d\+?|-)+\$?")
"""What a key may be made of: names, dots and numbers. Others are code of a kind, and could take for ever."""


def _of_module(pattern: Any, module: str, default: Any) -> Any:
    """The value of PEFT's settings for a module, where a key is the end of its path, or an expression."""
    if not isinstance(pattern, dict | None):
        raise SurgeryError("has ranks or alphas that are no object", path=module, got=type(pattern).__name__)
    for key, value in (pattern or {}).items():
        if not _PATTERN.fullmatch(key):
            raise SurgeryError("has a pattern of modules that is not read here", path=module, got=repr(key))
        if re.fullmatch(rf"(.*\.)?({key.removeprefix('^').removesuffix('$')})", module):
            return value
    return default


def _adapted(start: Lazy, factors: Factors, name: str, folder: Path) -> Lazy:
    outputs, inputs = factors.up.shape[0], factors.down.shape[-1]
    shapes = (outputs, inputs), (inputs, outputs)
    turned = factors.transposed or "lora_embedding" in factors.up.name
    if shapes[0] != shapes[1]:
        turned = start.shape == shapes[1]
    if len(start.shape) != 2 or start.shape not in shapes:
        raise SurgeryError(
            "does not fit the model",
            path=f"{folder}: {name}",
            got=[outputs, inputs],
            expected=list(start.shape),
        )
    inputs_of = (start, factors.down, factors.up)
    if factors.magnitude is None:
        return recipe("fold_low_rank", *inputs_of, scale=factors.scale, transposed=turned)
    return recipe("fold_dora", *inputs_of, factors.magnitude, scale=factors.scale, transposed=turned)


def _shaped(lazy: Stored, name: str, like: Lazy, folder: Path) -> Stored:
    if lazy.shape != like.shape:
        raise SurgeryError(
            "the shapes differ", path=f"{folder}: {name}", got=list(lazy.shape), expected=list(like.shape)
        )
    return lazy
