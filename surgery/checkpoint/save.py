"""Saving: a folder is written beside its place and renamed when it is whole. See DECISIONS.md, 7."""

from __future__ import annotations

import copy
import json
import warnings
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import nn

from surgery.checkpoint.card import card
from surgery.checkpoint.companions import carry_along
from surgery.checkpoint.names import on_disk
from surgery.checkpoint.plain import Plain, made_plain
from surgery.checkpoint.proof import cast_buffers, first_difference, why_not_cast, why_not_plain
from surgery.checkpoint.replacing import written_whole
from surgery.checkpoint.shards import live_tensors, size_of, write
from surgery.checkpoint.structure import Structure, dtype_of, rebuilt, with_steps
from surgery.checkpoint.tensors import OWN_STEM, PLAIN_STEM
from surgery.checkpoint.unkept import unkept
from surgery.errors import SurgeryError, SurgeryWarning
from surgery.fingerprint import Fingerprinter
from surgery.script import Script

if TYPE_CHECKING:
    from surgery.session import Session

MANIFEST = "surgery.json"
SCRIPT = "edits.surgery.json"
FORMAT, VERSION = "surgery-model", 1
NOT_BY_TRANSFORMERS = "surgery.load(folder) loads this model, transformers alone cannot"


@dataclass(frozen=True)
class Content:
    """What a folder is to hold: a model, the script that leads there, and how it was made `plain`, if so.

    `ordinary`: whether transformers alone must be able to load it. `limit` is the size of a weights file in
    bytes.
    """

    session: Session
    model: nn.Module
    script: Script
    plain: Plain | None
    ordinary: bool
    limit: int


def save(
    session: Session,
    folder: Path,
    *,
    overwrite: bool = False,
    plain: bool = False,
    max_shard_size: int | str = "5GB",
) -> Path:
    """Writes the session's model into `folder`; returns it.

    Weights (safetensors), config, tokenizer, the script, a card, and `surgery.json`, which says how
    the folder loads. With `plain` the model is made an ordinary one first: see `plain.made_plain`.
    Weights beyond `max_shard_size`, in bytes or as text, are divided into several files with an index.
    Everything is written beside it first and renamed at the end. Raises SurgeryError if the folder
    exists and `overwrite` is not set, if it cannot be written, or if the model cannot be made plain.
    """
    if session.is_skeleton:
        raise SurgeryError(
            "a model opened without weights has none to save", path=str(folder), hint="saving its script"
        )
    folder = folder.expanduser()
    may_write(folder, overwrite)
    content = _content(session, plain, size_of(max_shard_size))
    with written_whole(folder) as partial:
        lost = _write(content, partial)
        may_write(folder, overwrite)  # others may have written there in the meantime
    for sentence in lost:
        warnings.warn(sentence, SurgeryWarning, stacklevel=3)
    return folder


def may_write(folder: Path, overwrite: bool) -> None:
    """SurgeryError unless `folder` is free, or holds what a save wrote and may be replaced."""
    try:
        if not folder.exists():
            return
        if not folder.is_dir():
            raise SurgeryError("is a file", path=str(folder), expected="a folder")
        present = {entry.name for entry in folder.iterdir()}
    except OSError as error:
        raise SurgeryError(f"cannot be looked into: {error.strerror}", path=str(folder)) from None
    if not present:
        return
    if not overwrite:
        raise SurgeryError(
            "exists and is not empty",
            path=str(folder),
            hint="another folder, or `overwrite=True` (`--overwrite` in the command)",
        )
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


def _content(session: Session, plain: bool, limit: int) -> Content:
    script = session.script
    if not plain or why_not_plain(session.model) is None:
        return Content(session, session.model, script, None, plain, limit)
    made = made_plain(session)
    further = replace(script, steps=(*script.steps, *made.steps), result=Fingerprinter()(made.model))
    return Content(session, made.model, further, made, plain, limit)


def _write(content: Content, folder: Path) -> list[str]:
    """Writes all there is to write; returns sentences on what cannot be kept."""
    session, model, script = content.session, content.model, content.script
    structure, reason = with_steps(session.opened.rebuild, script.steps), why_not_plain(model)
    made = _made_anew(content, structure)
    if reason is None and (reason := why_not_cast(model, made)) and content.ordinary:
        raise SurgeryError(
            f"cannot be made an ordinary transformers model: {reason}",
            path=session.opened.name,
            hint="saving without plain, or `cast` without `buffers`",
        )
    if reason is None:
        write(folder, PLAIN_STEM, on_disk(model), content.limit)
        _save_config(model, folder)
    else:
        tensors, same = live_tensors(model)
        write(folder, OWN_STEM, tensors, content.limit, same)
        _keep_transformers_out(folder)
    generation: Any = getattr(model, "generation_config", None)
    if generation is not None:
        generation.to_json_file(folder / "generation_config.json")  # `save_pretrained` refuses odd settings
    opened = session.opened
    carry_along(opened.folder, opened.tokenizer, folder, config_names_family=reason is None)
    script.write(folder / SCRIPT)
    lost = unkept(model, made)
    (folder / "README.md").write_text(card(content, reason, lost), encoding="utf-8")
    manifest = {
        "format": FORMAT,
        "version": VERSION,
        "loads_with": "transformers" if reason is None else "surgery.load",
        "because": reason,
        "class": type(model).__name__,
        "fingerprint": script.result,
        "structure": structure,
        "cast_buffers": cast_buffers(model, made),
        "frozen": [name for name, parameter in model.named_parameters() if not parameter.requires_grad],
        "files": sorted([*(entry.name for entry in folder.iterdir()), MANIFEST]),
    }
    (folder / MANIFEST).write_text(json.dumps(manifest, indent=1, default=str), encoding="utf-8")
    return lost


def _made_anew(content: Content, structure: Structure | None) -> nn.Module:
    """The structure as `surgery.load` will make it; a folder that it could not load is not written."""
    if structure is None:
        raise SurgeryError("how this model was built is not known, so a folder could not be loaded again")
    opened = content.session.opened
    made = rebuilt(structure, "the model", opened.model if structure["config"] is None else None)
    if difference := first_difference(content.model, made):
        raise SurgeryError(
            f"could not be loaded again from its config and script: {difference}",
            path=opened.name,
            hint="making by steps what was changed by hand before the model was opened",
        )
    return made


def _save_config(model: Any, folder: Path) -> None:
    """The config, with the class and dtype that transformers notes in it as it saves."""
    config = copy.deepcopy(model.config)
    config.architectures, config.dtype = [type(model).__name__], dtype_of(model)
    config.save_pretrained(folder)


def _keep_transformers_out(folder: Path) -> None:
    """A config.json that makes every `from_pretrained` refuse with this sentence; tokenizers still load.

    Without one a model class takes its default config, and makes a model of full size with random weights.
    Auto classes say the model type they do not know, model classes the weights file they do not like.
    """
    told = {"model_type": NOT_BY_TRANSFORMERS, "transformers_weights": NOT_BY_TRANSFORMERS}
    (folder / "config.json").write_text(json.dumps(told, indent=1), encoding="utf-8")
