"""Saving: a folder is written beside its place and renamed when it is whole. See DECISIONS.md, 7."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError
from torch import nn

from surgery.checkpoint.card import CAST, card
from surgery.checkpoint.proof import cast_buffers, first_difference, why_not_cast, why_not_plain
from surgery.checkpoint.structure import Structure, rebuilt, with_steps
from surgery.checkpoint.tensors import SINGLE
from surgery.errors import SurgeryError, SurgeryWarning
from surgery.fingerprint import stored_tensors
from surgery.model import private_shell
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
    folder = folder.expanduser()
    may_write(folder, overwrite)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        partial = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    except OSError as error:
        raise SurgeryError(f"cannot be written: {error.strerror}", path=str(folder)) from None
    try:
        _write(session, partial)
        _flush(partial)
        _put_in_place(partial, folder)
    except (OSError, SafetensorError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise SurgeryError(f"could not be written whole: {reason}", path=str(folder)) from None
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return folder


def may_write(folder: Path, overwrite: bool) -> None:
    """SurgeryError unless `folder` is free, or holds what a save wrote and may be replaced."""
    if not folder.exists():
        return
    if not folder.is_dir():
        raise SurgeryError("is a file", path=str(folder), expected="a folder")
    present = {entry.name for entry in folder.iterdir()}
    if not present:
        return
    if not overwrite:
        raise SurgeryError("exists and is not empty", path=str(folder), hint="another folder, or overwrite")
    if strangers := sorted(present - _written(folder)):
        raise SurgeryError(
            "holds something that no save of a model wrote",
            path=str(folder),
            got=strangers[0],
            hint="another folder",
        )


def _written(folder: Path) -> set[str]:
    """The names a save wrote into this folder, as its manifest says."""
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        return set(manifest["files"]) if manifest["format"] == FORMAT else set()
    except (OSError, ValueError, KeyError, TypeError):
        return set()


def _write(session: Session, folder: Path) -> None:
    model, script = session.model, session.script
    structure, reason = with_steps(session.opened.rebuild, script.steps), why_not_plain(model)
    made = _made_anew(session, structure)
    reason = reason or why_not_cast(model, made)
    if reason is None:
        own: Any = private_shell(model)  # transformers notes dtype and class in the config it saves
        with quiet():
            own.save_pretrained(folder)
    else:
        _save_tensors(model, folder / SINGLE)
        generation: Any = getattr(model, "generation_config", None)
        if generation is not None:
            generation.save_pretrained(folder)
    if session.opened.tokenizer is not None:
        session.opened.tokenizer.save_pretrained(folder)
    script.write(folder / SCRIPT)
    cast = cast_buffers(model, made)
    if cast:
        warnings.warn(f"{', '.join(cast)}: {CAST}", SurgeryWarning, stacklevel=5)
    (folder / "README.md").write_text(card(session, reason, cast), encoding="utf-8")
    manifest = {
        "format": FORMAT,
        "version": VERSION,
        "loads_with": "transformers" if reason is None else "surgery.load",
        "because": reason,
        "class": type(model).__name__,
        "fingerprint": script.result,
        "structure": structure,
        "cast_buffers": cast,
        "frozen": [name for name, parameter in model.named_parameters() if not parameter.requires_grad],
        "files": sorted([*(entry.name for entry in folder.iterdir()), MANIFEST]),
    }
    (folder / MANIFEST).write_text(json.dumps(manifest, indent=1, default=str), encoding="utf-8")


def _made_anew(session: Session, structure: Structure | None) -> nn.Module:
    """The structure as `surgery.load` will make it; a folder that it could not load is not written."""
    if structure is None:
        raise SurgeryError("how this model was built is not known, so a folder could not be loaded again")
    plain = structure["config"] is None
    made = rebuilt(structure, "the model", session.opened.model if plain else None)
    if difference := first_difference(session.model, made):
        raise SurgeryError(
            f"could not be loaded again from its config and script: {difference}",
            path=session.opened.name,
            hint="making by steps what was changed by hand before the model was opened",
        )
    return made


def _save_tensors(model: nn.Module, file: Path) -> None:
    """One safetensors file; of a tie the first name is written and the others are noted in its metadata."""
    from safetensors.torch import save_file

    kept: dict[int, str] = {}
    tensors: dict[str, torch.Tensor] = {}
    storages: set[int] = set()
    metadata = {"format": "pt"}
    for name, tensor in stored_tensors(model):
        if id(tensor) in kept:
            metadata[name] = kept[id(tensor)]
        else:
            kept[id(tensor)] = name
            whole = tensor.detach().cpu().contiguous()
            place = whole.untyped_storage().data_ptr()
            tensors[name] = whole.clone() if place in storages else whole  # views of one storage
            storages.add(place)
    save_file(tensors, file, metadata=metadata)


def _flush(folder: Path) -> None:
    """Has the disk keep every file and the folder's list of them."""
    for entry in [*sorted(folder.rglob("*")), folder]:
        handle = os.open(entry, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _put_in_place(partial: Path, folder: Path) -> None:
    """Renames; an old folder is set aside for the moment between two renames and put back if one fails."""
    partial.chmod(0o755)  # mkdtemp keeps others out
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
