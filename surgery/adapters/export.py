"""Adapters of a model written in PEFT's format."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors.torch import save_file
from torch import nn

from surgery import fence
from surgery.adapters.adapter import Adapter, between, root_of
from surgery.adapters.kinds.dora import DoraLinear
from surgery.adapters.kinds.ia3 import Ia3Linear
from surgery.adapters.kinds.sharelora import ShareLoraLinear
from surgery.adapters.lora import LoraLinear, LowRank, is_transposed
from surgery.adapters.lora_layers import LoraConv, LoraEmbedding
from surgery.adapters.peft.adapter import PeftAdapter
from surgery.adapters.peft.export import export_peft
from surgery.checkpoint.adapter import CONFIG, WEIGHTS
from surgery.checkpoint.replacing import written_whole
from surgery.errors import SurgeryError

if TYPE_CHECKING:
    from surgery.session import Session

_TYPES: dict[type, str] = {
    **dict.fromkeys((LoraLinear, LoraConv, LoraEmbedding, ShareLoraLinear), "LORA"),
    DoraLinear: "DoRA",
    Ia3Linear: "IA3",
}
_KEYS = {
    "lora_A": "lora_A.weight",
    "lora_B": "lora_B.weight",
    "magnitude": "lora_magnitude_vector",
}


def export(session: Session, folder: str | Path, called: str | None = None) -> Path:
    """Writes the adapters of one name as one adapter that PEFT loads; returns the folder.

    LoRA, rsLoRA, ShareLoRA (each module gets its own copy), DoRA and (IA)³, at the strengths they have, and
    PEFT's own types at strength 1.
    `called` may be left out where all have one name. The base is the model without them as it is now: where
    other steps changed it, PEFT needs that one, which `detach` and `save` give. SurgeryError for a model
    without adapters or weights, for what PEFT's format cannot say, and for a folder that holds something.
    """
    place = fence.writing(Path(folder).expanduser())
    if place.exists() and (not place.is_dir() or any(place.iterdir())):
        raise SurgeryError("exists and is not empty", path=str(folder), hint="another folder")
    if session.is_skeleton:
        raise SurgeryError(
            "a model opened without weights has no adapters to write", path=session.opened.name
        )
    found = _found(session, called)
    if any(isinstance(item, PeftAdapter) for item in found.values()):
        return export_peft(found, session.opened.source, place)
    kind = _kind(found)
    tensors: dict[str, torch.Tensor] = {}
    for path, module in found.items():
        for name, parameter in module._parameters.items():
            if parameter is not None:
                tensor = _value(module, parameter.detach()).cpu().contiguous()
                tensors[f"base_model.model.{path}.{_KEYS.get(name, name)}"] = tensor.clone()
    settings = _ia3(found) if kind == "IA3" else _lora(found, kind == "DoRA")
    common = {
        "task_type": None,
        "base_model_name_or_path": session.opened.source,
        "inference_mode": True,
        "target_modules": sorted(found),
        "fan_in_fan_out": any(is_transposed(root_of(module)) for module in found.values()),
        "modules_to_save": None,
    }
    with written_whole(place) as partial:
        save_file(tensors, partial / WEIGHTS, {"format": "pt"})
        text = json.dumps(settings | common, indent=2) + "\n"
        (partial / CONFIG).write_text(text, encoding="utf-8")
    return place


def _found(session: Session, called: str | None) -> dict[str, Adapter]:
    """The adapters of the name, by the paths that what they adapt has without any adapter."""
    model = session.model
    every = [(path, item) for path, item in model.named_modules() if isinstance(item, Adapter)]
    names = list(dict.fromkeys(item.name for _, item in every))
    if not names:
        raise SurgeryError("carries no adapter", path=session.opened.name, hint="`attach` first")
    name = names[0] if called is None else called
    if name not in names or (called is None and len(names) > 1):
        raise SurgeryError(
            "carries adapters of other names" if called else "carries adapters of several names",
            path=session.opened.name,
            got=called,
            expected=f"one of {', '.join(names)}",
            hint=f'`export(s, folder, called="{names[0]}")`',
        )
    found: dict[str, Adapter] = {}
    for path, item in every:
        if item.name == name:
            places = session.patient.module_paths(item)
            if len(places) > 1:
                raise SurgeryError(
                    "is one adapter at several paths, of which PEFT would put it at the first alone",
                    path=path,
                    got=" and ".join(places),
                    hint=f'`detach`, `untie("{places[-1]}")`, and attaching it again',
                )
            found[_bare(model, path)] = item
    return found


def _bare(model: nn.Module, path: str) -> str:
    """The path without what adapters around the module have added to it."""
    parts: list[str] = []
    module: nn.Module = model
    for part in path.split("."):
        if not (part == "base" and isinstance(module, Adapter)):
            parts.append(part)
        module = module.get_submodule(part)
    return ".".join(parts)


def _kind(found: dict[str, Adapter]) -> str:
    kinds: dict[str, str] = {}
    for path, module in found.items():
        kind = _TYPES.get(type(module))
        if kind is None or (kind == "DoRA" and module.strength != 1.0):
            problem = "is an adapter that PEFT's format has no word for" if kind is None else "is weighed"
            raise SurgeryError(
                problem, path=path, got=module.kind if kind is None else module.strength, hint="`s.save`"
            )
        kinds.setdefault(kind, path)
    if len(kinds) > 1:
        raise SurgeryError(
            "PEFT's format holds one kind of adapter",
            got=" and ".join(f"{kind} at {path}" for kind, path in kinds.items()),
            hint="different names for them, one folder each",
        )
    return next(iter(kinds))


def _value(module: Adapter, value: torch.Tensor) -> torch.Tensor:
    if isinstance(module, Ia3Linear):
        factors = between(torch.ones_like(value), value, module.strength)
        return factors[None] if module.side == "input" else factors[:, None]
    return value


def _lora(found: dict[str, Adapter], dora: bool) -> dict[str, Any]:
    modules = {path: module for path, module in found.items() if isinstance(module, LowRank)}
    stabilised = all(module.kind == "rslora" for module in modules.values())
    root = 0.5 if stabilised else 1.0
    alphas = {path: module.factor * module.rank**root for path, module in modules.items()}
    if all(module.strength == 1.0 and (module.kind == "rslora") == stabilised for module in modules.values()):
        alphas = {path: module.alpha for path, module in modules.items()}  # to the last bit
    first = next(iter(modules))
    rank, alpha = modules[first].rank, alphas[first]
    return {
        "peft_type": "LORA",
        "r": rank,
        "lora_alpha": alpha,
        "rank_pattern": {path: item.rank for path, item in modules.items() if item.rank != rank},
        "alpha_pattern": {path: value for path, value in alphas.items() if value != alpha},
        "lora_dropout": 0.0,
        "bias": "none",
        "use_rslora": stabilised,
        "use_dora": dora,
    }


def _ia3(found: dict[str, Adapter]) -> dict[str, Any]:
    inputs = [path for path, item in found.items() if isinstance(item, Ia3Linear) and item.side == "input"]
    return {"peft_type": "IA3", "feedforward_modules": sorted(inputs)}
