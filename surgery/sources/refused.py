"""What is no model, named for what it is, with the way out."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from surgery.errors import SurgeryError

_EXPECTED = "config.json and model.safetensors as transformers writes"
_INTO = "`surgery.open(file, into=module)`, or the folder it lies in"
_FORMATS = {
    ".gguf": ("is a GGUF file and no PyTorch model", "the folder it was made from"),
    ".onnx": ("is an ONNX graph and no PyTorch model", "the folder it was exported from"),
    ".py": ("is code, and which function makes the model is not said", "`surgery.open(\"module:function\")`"),
    ".safetensors": ("a weights file alone does not say what the model is", _INTO),
}  # fmt: skip


def no_model_in(folder: Path) -> SurgeryError:
    """Why a folder without config.json is no model."""
    where, names = str(folder), sorted(entry.name for entry in folder.iterdir())
    if not names:
        return SurgeryError("holds no model: it is empty", path=where, expected=_EXPECTED)
    if "model_index.json" in names:
        return SurgeryError(
            "holds a diffusers pipeline, which is several models",
            path=where,
            hint="`surgery.open(pipeline.unet, inputs={...})` with one of its modules",
        )
    if "adapter_config.json" in names:
        base = _value(folder / "adapter_config.json", "base_model_name_or_path")
        return SurgeryError(
            "holds an adapter and not the model it adapts",
            path=where,
            got=f"an adapter of {base}" if base else None,
            hint="loading both with peft, then `surgery.open(model)`",
        )
    if gguf := [name for name in names if name.endswith(".gguf")]:
        problem, hint = _FORMATS[".gguf"]
        return SurgeryError(f"holds no model: {gguf[0]} {problem}", path=where, hint=hint)
    found = ", ".join(names[:3]) + (" …" if len(names) > 3 else "")
    return SurgeryError("holds no model", path=where, got=found, expected=_EXPECTED)


def no_model_file(file: Path) -> SurgeryError:
    """Why a file is no model by itself."""
    if file.suffix == ".json" and _value(file, "format") == "surgery-script":
        return SurgeryError("is an edit script", path=str(file), hint="`surgery.replay(script)`")
    problem, hint = _FORMATS.get(file.suffix.lower(), _FORMATS[".safetensors"])
    return SurgeryError(problem, path=str(file), hint=hint)


def no_source(source: object) -> SurgeryError:
    """Why an object is nothing that can be opened."""
    hint = "a torch.nn.Module, a transformers config, a folder, a hub id, or `package.module:function`"
    held: Any = getattr(source, "model", None)
    kind = type(source).__name__
    if isinstance(source, type):
        kind, hint = (
            f"the class {source.__name__}",
            f"an object of it: `surgery.open({source.__name__}(...))`",
        )
    elif isinstance(held, nn.Module):
        hint = f"the module in it: `surgery.open({kind.lower()}.model)`"
    elif isinstance(source, Mapping) and any(isinstance(value, torch.Tensor) for value in source.values()):
        kind, hint = f"{kind} of tensors", "a file of them: `surgery.open(file, into=module)`"
    elif callable(source):
        hint = f"what it makes: `surgery.open({getattr(source, '__name__', 'function')}(...))`"
    return SurgeryError("this is nothing that can be opened", got=kind, expected="a model", hint=hint)


def _value(file: Path, key: str) -> Any:
    """What a JSON file has at `key`; None where it cannot be read."""
    try:
        data = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    return data.get(key) if isinstance(data, dict) else None
