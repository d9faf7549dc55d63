"""Saving: a folder that is whole or not there. See DECISIONS.md, 7."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from surgery.checkpoint.card import card
from surgery.checkpoint.structure import why_not_plain, with_steps
from surgery.checkpoint.tensors import SINGLE
from surgery.errors import SurgeryError
from surgery.fingerprint import stored_tensors
from surgery.quiet import quiet

if TYPE_CHECKING:
    from surgery.session import Session

MANIFEST = "surgery.json"
SCRIPT = "edits.surgery.json"
FORMAT, VERSION = "surgery-model", 1


def save(session: Session, folder: Path, *, overwrite: bool = False) -> Path:
    """Writes the session's model into `folder`; returns it.

    Weights (safetensors), config, tokenizer, the script, a card, and `surgery.json`, which says how
    the folder loads. Everything is written beside it first and renamed at the end. Raises
    SurgeryError if the folder exists and `overwrite` is not set, or if it cannot be written.
    """
    if session.is_skeleton:
        raise SurgeryError(
            "a model opened without weights has none to save", path=str(folder), hint="saving its script"
        )
    _may_write(folder, overwrite)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        partial = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    except OSError as error:
        raise SurgeryError(f"cannot be written: {error.strerror}", path=str(folder)) from None
    try:
        _write(session, partial)
        _flush(partial)
        _put_in_place(partial, folder)
    except OSError as error:
        raise SurgeryError(f"could not be written whole: {error.strerror}", path=str(folder)) from None
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return folder


def _may_write(folder: Path, overwrite: bool) -> None:
    if not folder.exists():
        return
    if not folder.is_dir():
        raise SurgeryError("is a file", path=str(folder), expected="a folder")
    if any(folder.iterdir()) and not overwrite:
        raise SurgeryError("exists and is not empty", path=str(folder), hint="another folder, or overwrite")
    ours = (folder / MANIFEST).is_file() or (folder / "config.json").is_file()
    if any(folder.iterdir()) and not ours:
        raise SurgeryError("holds something other than a model", path=str(folder), hint="another folder")


def _write(session: Session, folder: Path) -> None:
    model, script = session.model, session.script
    reason = why_not_plain(model)
    if reason is None:
        with quiet():
            model.save_pretrained(folder)  # type: ignore[operator]
    else:
        _save_tensors(model, folder / SINGLE)
        generation: Any = getattr(model, "generation_config", None)
        if generation is not None:
            generation.save_pretrained(folder)
    if session.opened.tokenizer is not None:
        session.opened.tokenizer.save_pretrained(folder)
    script.write(folder / SCRIPT)
    manifest = {
        "format": FORMAT,
        "version": VERSION,
        "loads_with": "transformers" if reason is None else "surgery.load",
        "because": reason,
        "class": type(model).__name__,
        "fingerprint": script.result,
        "structure": with_steps(session.opened.rebuild, script.steps),
    }
    (folder / MANIFEST).write_text(json.dumps(manifest, indent=1, default=str), encoding="utf-8")
    (folder / "README.md").write_text(card(session, reason), encoding="utf-8")


def _save_tensors(model: nn.Module, file: Path) -> None:
    """One safetensors file; of a tie the first name is written and the others are noted in its metadata."""
    from safetensors.torch import save_file

    kept: dict[int, str] = {}
    tensors: dict[str, torch.Tensor] = {}
    metadata = {"format": "pt"}
    for name, tensor in stored_tensors(model):
        if id(tensor) in kept:
            metadata[name] = kept[id(tensor)]
        else:
            kept[id(tensor)] = name
            tensors[name] = tensor.detach().cpu().contiguous()
    save_file(tensors, file, metadata=metadata)


def _flush(folder: Path) -> None:
    for file in sorted(folder.rglob("*")):
        if file.is_file():
            with file.open("rb") as opened:
                os.fsync(opened.fileno())
    folder.chmod(0o755)


def _put_in_place(partial: Path, folder: Path) -> None:
    if not folder.exists():
        partial.rename(folder)
        return
    aside = partial.with_name(f"{partial.name}.old")
    folder.rename(aside)
    try:
        partial.rename(folder)
    except OSError:
        aside.rename(folder)
        raise
    shutil.rmtree(aside, ignore_errors=True)
