"""Saving: a folder is written beside its place and renamed when it is whole. See DECISIONS.md, 7."""

from __future__ import annotations

import copy
import json
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import nn

from surgery.checkpoint.card import card
from surgery.checkpoint.companions import carry_along
from surgery.checkpoint.manifest import FORMAT, MANIFEST, SCRIPT, VERSION, may_write
from surgery.checkpoint.names import on_disk
from surgery.checkpoint.plain import Plain, made_plain
from surgery.checkpoint.proof import cast_buffers, first_difference, why_not_cast, why_not_plain
from surgery.checkpoint.replacing import written_whole
from surgery.checkpoint.shards import live_tensors, size_of
from surgery.checkpoint.structure import Structure, dtype_of, rebuilt, with_steps
from surgery.checkpoint.tensors import OWN_STEM, PLAIN_STEM
from surgery.checkpoint.unkept import unkept
from surgery.errors import SurgeryError, SurgeryWarning
from surgery.fingerprint import Fingerprinter
from surgery.lazy import Lazy
from surgery.script import Script
from surgery.stream.digests import Digests
from surgery.stream.drawn import drawn
from surgery.stream.lineage import Lineage, checkpoint_of, stored_weights
from surgery.stream.writing import write

if TYPE_CHECKING:
    from surgery.session import Session

NOT_BY_TRANSFORMERS = "surgery.load(folder) loads this model, transformers alone cannot"


Verify = Callable[[Script], None]


@dataclass(frozen=True)
class Content:
    """What a folder is to hold: a model, the script that leads there, and how it was made `plain`, if so.

    `ordinary`: whether transformers alone must be able to load it. `limit` is the size of a weights file in
    bytes. `lineage`: of a skeleton, what its tensors are in files.
    """

    session: Session
    model: nn.Module
    script: Script
    plain: Plain | None
    ordinary: bool
    limit: int
    lineage: Lineage | None = None


def save(
    session: Session,
    folder: Path,
    *,
    overwrite: bool = False,
    plain: bool = False,
    max_shard_size: int | str = "5GB",
    memory: int | str | None = None,
    verify: Verify | None = None,
) -> Path:
    """Writes the session's model into `folder`; returns it.

    Weights (safetensors), config, tokenizer, the script, a card, and `surgery.json`, which says how
    the folder loads. With `plain` the model is made an ordinary one first: see `plain.made_plain`.
    Weights beyond `max_shard_size`, in bytes or as text, are divided into several files with an index.
    Everything is written beside it first and renamed at the end. Raises SurgeryError if the folder
    exists and `overwrite` is not set, if it cannot be written, or if the model cannot be made plain.

    Of a skeleton whose weights lie in a folder, these are read, edited and written piece by piece. At most
    `memory`, bytes or text, is taken by tensors that are read and computed. `verify` is told of the script
    with the fingerprints of base and result before the folder is put in place, and may raise.
    """
    folder = folder.expanduser()
    may_write(folder, overwrite)
    content = _content(session, folder, plain, size_of(max_shard_size))
    limit_bytes = None if memory is None else size_of(memory, "memory")
    with written_whole(folder) as partial:
        lost = _write(content, partial, limit_bytes, verify or (lambda script: None))
        may_write(folder, overwrite)  # others may have written there in the meantime
    for sentence in lost:
        warnings.warn(sentence, SurgeryWarning, stacklevel=3)
    return folder


def _content(session: Session, folder: Path, plain: bool, limit: int) -> Content:
    script = session.script
    if session.is_skeleton:
        return _streamed(session, folder, script, plain, limit)
    if not plain or why_not_plain(session.model) is None:
        return Content(session, session.model, script, None, plain, limit)
    made = made_plain(session)
    further = replace(script, steps=(*script.steps, *made.steps), result=Fingerprinter()(made.model))
    return Content(session, made.model, further, made, plain, limit)


def _streamed(session: Session, folder: Path, script: Script, plain: bool, limit: int) -> Content:
    """What a skeleton comes to once its steps are carried out on what its folder holds."""
    opened = session.opened
    if plain:
        raise SurgeryError(
            "a model opened without weights cannot be made plain", hint="opening it without `skeleton=True`"
        )
    if opened.folder is not None and folder.resolve() == opened.folder.resolve():
        raise SurgeryError(
            "is the folder that the weights are read from", path=str(folder), hint="another folder"
        )
    made = drawn(opened.model, session.steps, opened.inputs, opened.tokenizer)
    lineage = Lineage()
    lineage.add(stored_weights(opened.model, checkpoint_of(opened)))
    lineage.add(made.tensors)
    return Content(session, made.model, script, None, plain, limit, lineage)


def _signed(content: Content, digests: dict[Lazy, str]) -> Script:
    """The script with the fingerprints of base and result, as those of what was read and written."""
    script, lineage = content.script, content.lineage
    if lineage is None:
        return script
    fingerprint = Digests(lineage, digests)
    base = replace(script.base, fingerprint=fingerprint(content.session.opened.model))
    return replace(script, base=base, result=fingerprint(content.model))


def _write(content: Content, folder: Path, memory_bytes: int | None, verify: Verify) -> list[str]:
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
    tensors, same = (on_disk(model), {}) if reason is None else live_tensors(model)
    if content.lineage is not None:
        tensors = {name: content.lineage.resolved(lazy) for name, lazy in tensors.items()}
    stem = PLAIN_STEM if reason is None else OWN_STEM
    digests = write(folder, stem, tensors, content.limit, same, memory_bytes=memory_bytes)
    script = _signed(content, {lazy: digests[name] for name, lazy in tensors.items()})
    verify(script)
    if reason is None:
        _save_config(model, folder)
    else:
        _keep_transformers_out(folder)
    generation: Any = getattr(model, "generation_config", None)
    if generation is not None:
        generation.to_json_file(folder / "generation_config.json")  # `save_pretrained` refuses odd settings
    opened = session.opened
    carry_along(opened.folder, opened.tokenizer, folder, config_names_family=reason is None)
    script.write(folder / SCRIPT)
    lost = unkept(model, made)
    (folder / "README.md").write_text(card(replace(content, script=script), reason, lost), encoding="utf-8")
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
