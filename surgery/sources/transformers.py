"""Transformers checkpoints: folders and hub ids. Safetensors only, remote code never."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from surgery.errors import SurgeryError
from surgery.sources import Opened
from surgery.sources.example_inputs import example_inputs


def from_folder(folder: Path, inputs: Any = None, *, skeleton: bool = False, source: str) -> Opened:
    """The model in a folder with a transformers config, or in one that `s.save` wrote."""
    from surgery.checkpoint.load import is_saved, load, read_manifest
    from surgery.checkpoint.pretrained import pretrained
    from surgery.checkpoint.structure import rebuilt, structure_of_config

    if is_saved(folder):
        manifest = read_manifest(folder)
        structure = manifest["structure"]
        model = rebuilt(structure, str(folder)) if skeleton else load(folder)
    elif not (folder / "config.json").is_file():
        raise SurgeryError(
            "holds no model",
            path=str(folder),
            expected="config.json and model.safetensors as transformers writes",
        )
    else:
        structure = structure_of_config(read_config(folder))
        model = rebuilt(structure, str(folder)) if skeleton else pretrained(structure["class"], folder)
    name = source if source == "demo" else folder.name
    if inputs is None:
        inputs = example_inputs(model)
    return Opened(model, name, source, inputs, tokenizer_in(folder), structure)


def from_hub(name: str, inputs: Any = None, *, skeleton: bool = False) -> Opened:
    """The model with this hub id, fetched or from the local cache; never with remote code."""
    from huggingface_hub import snapshot_download

    patterns = ["*.json", "*.model", "*.txt", "*.jinja"] + ([] if skeleton else ["*.safetensors"])
    try:
        folder = Path(snapshot_download(name, allow_patterns=patterns))
    except Exception as error:
        raise SurgeryError(
            f"is no folder here, and no model could be fetched under this id ({type(error).__name__})",
            path=name,
            hint='a folder with a transformers model, or "demo"',
        ) from None
    return from_folder(folder, inputs, skeleton=skeleton, source=name)


def read_config(folder: Path) -> dict[str, Any]:
    """The folder's config.json as data."""
    file = folder / "config.json"
    try:
        data = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise SurgeryError("cannot be read as JSON", path=str(file)) from None
    if not isinstance(data, dict):
        raise SurgeryError("is no config", path=str(file), got=type(data).__name__, expected="an object")
    return data


def tokenizer_in(folder: Path) -> Any:
    """The folder's tokenizer; None where there is none."""
    if not any(
        (folder / name).is_file() for name in ("tokenizer.json", "tokenizer_config.json", "vocab.json")
    ):
        return None
    from transformers import AutoTokenizer

    try:
        return AutoTokenizer.from_pretrained(folder, local_files_only=True)
    except Exception as error:
        raise SurgeryError(f"its tokenizer cannot be read: {error}", path=str(folder)) from None
