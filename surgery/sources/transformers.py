"""Folders and hub ids: transformers checkpoints, folders that `s.save` wrote, timm's.

Safetensors only, remote code never.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from surgery import fence
from surgery.demo import FOLDERS
from surgery.errors import SurgeryError
from surgery.sources.config import described, read_config, skeleton_of
from surgery.sources.module import with_inputs
from surgery.sources.notes import joined
from surgery.sources.opened import Opened
from surgery.sources.refused import no_model_in
from surgery.sources.vision_libraries import from_timm_folder, is_timm_config

_WEIGHTS = ("*.safetensors", "*.safetensors.index.json", "*.bin", "*.pt", "*.pth", "*.ckpt", "*.gguf", "*.h5")
_NO_WEIGHTS = "The folder holds no weights: this is the structure alone."


def from_folder(
    folder: Path, inputs: Any = None, *, skeleton: bool = False, source: str, bare: bool = True
) -> Opened:
    """The model in a folder with a transformers or timm config, or in one that `s.save` wrote.

    With `bare`, a config without any file of weights is opened as a skeleton, with a note.
    """
    from surgery.checkpoint.load import load, set_trainable
    from surgery.checkpoint.manifest import is_saved, read_manifest
    from surgery.checkpoint.pretrained import pretrained

    told, frozen = None, ()
    if is_saved(folder):
        manifest = read_manifest(folder)
        structure, frozen = manifest["structure"], manifest.get("frozen", ())
        model = skeleton_of(structure, str(folder)) if skeleton else load(folder)
    elif not (folder / "config.json").is_file():
        raise no_model_in(folder)
    else:
        config = read_config(folder / "config.json")
        if bare and not skeleton and not any(next(folder.glob(kind), None) for kind in _WEIGHTS):
            skeleton, told = True, _NO_WEIGHTS
        if is_timm_config(config):
            return from_timm_folder(folder, config, inputs, skeleton=skeleton, source=source, note=told)
        structure, about_class = described(config, str(folder / "config.json"))
        told = joined(told, about_class)
        model = skeleton_of(structure, str(folder)) if skeleton else pretrained(structure["class"], folder)
    if skeleton:
        set_trainable(model, frozen)
    name = source if source in FOLDERS else folder.name
    inputs, guessed, about_inputs = with_inputs(model, inputs)
    note = joined(told, about_inputs)
    return Opened(model, name, source, inputs, tokenizer_in(folder), structure, note, guessed, folder=folder)


def from_hub(name: str, inputs: Any = None, *, skeleton: bool = False) -> Opened:
    """The model with this hub id, fetched or from the local cache; never with remote code."""
    from huggingface_hub import snapshot_download

    fence.naming(name)
    patterns = ["*.json", "*.model", "*.txt", "*.jinja"] + ([] if skeleton else ["*.safetensors"])
    try:
        folder = Path(snapshot_download(name, allow_patterns=patterns))
    except Exception as error:
        raise SurgeryError(
            f"is no folder here, and no model could be fetched under this id ({type(error).__name__})",
            path=name,
            hint='a folder with a transformers model, or "demo"',
        ) from None
    return from_folder(folder, inputs, skeleton=skeleton, source=name, bare=False)


def tokenizer_in(folder: Path) -> Any:
    """The folder's tokenizer; None where there is none."""
    if not any(
        (folder / name).is_file() for name in ("tokenizer.json", "tokenizer_config.json", "vocab.json")
    ):
        return None
    from transformers import AutoTokenizer

    fence.folder(folder)

    try:
        return AutoTokenizer.from_pretrained(folder, local_files_only=True)
    except Exception as error:
        raise SurgeryError(f"its tokenizer cannot be read: {error}", path=str(folder)) from None
