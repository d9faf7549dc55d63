"""Adapters of a model written in PEFT's format."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetensors.torch import save_file

from surgery import fence
from surgery.adapters.lora import LoraLinear, is_transposed
from surgery.checkpoint.adapter import CONFIG, WEIGHTS
from surgery.checkpoint.replacing import written_whole
from surgery.errors import SurgeryError

if TYPE_CHECKING:
    from surgery.session import Session


def export(session: Session, folder: str | Path) -> Path:
    """Writes the LoRA adapters of the session's model as one adapter that PEFT loads; returns the folder.

    The base is the model without them as it is now: where other steps changed it, PEFT needs that one, which
    `detach` and `save` give. SurgeryError for a model without adapters or weights, and for a folder that
    holds something.
    """
    place = fence.writing(Path(folder).expanduser())
    if place.exists() and (not place.is_dir() or any(place.iterdir())):
        raise SurgeryError("exists and is not empty", path=str(folder), hint="another folder")
    if session.is_skeleton:
        raise SurgeryError(
            "a model opened without weights has no adapters to write", path=session.opened.name
        )
    found = {path: item for path, item in session.model.named_modules() if isinstance(item, LoraLinear)}
    if not found:
        raise SurgeryError("carries no adapter", path=session.opened.name, hint="`attach` first")
    tensors = {}
    for path, module in found.items():
        for name in ("lora_A", "lora_B"):
            tensor = module.get_parameter(name).detach().cpu().contiguous()
            tensors[f"base_model.model.{path}.{name}.weight"] = tensor.clone()
    with written_whole(place) as partial:
        save_file(tensors, partial / WEIGHTS, {"format": "pt"})
        text = json.dumps(_settings(session, found), indent=2) + "\n"
        (partial / CONFIG).write_text(text, encoding="utf-8")
    return place


def _settings(session: Session, found: dict[str, LoraLinear]) -> dict[str, Any]:
    first = next(iter(found.values()))
    transposed = any(is_transposed(module.get_submodule("base")) for module in found.values())
    return {
        "peft_type": "LORA",
        "task_type": None,
        "base_model_name_or_path": session.opened.source,
        "inference_mode": True,
        "r": first.rank,
        "lora_alpha": first.alpha,
        "rank_pattern": {path: item.rank for path, item in found.items() if item.rank != first.rank},
        "alpha_pattern": {path: item.alpha for path, item in found.items() if item.alpha != first.alpha},
        "target_modules": sorted(found),
        "lora_dropout": 0.0,
        "bias": "none",
        "fan_in_fan_out": transposed,
        "use_rslora": False,
        "use_dora": False,
        "modules_to_save": None,
    }
