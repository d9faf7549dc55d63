"""Saving: a folder is written beside its place and renamed when it is whole. See DECISIONS.md, 7."""

from __future__ import annotations

import copy
import json
import warnings
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from surgery import fence
from surgery.checkpoint.card import card
from surgery.checkpoint.companions import carry_along
from surgery.checkpoint.content import Content, content_of, weights_of
from surgery.checkpoint.manifest import SCRIPT, may_write, write_manifest
from surgery.checkpoint.proof import cast_buffers
from surgery.checkpoint.replacing import written_whole
from surgery.checkpoint.resuming import written_resumably
from surgery.checkpoint.shards import size_of
from surgery.checkpoint.structure import dtype_of
from surgery.checkpoint.tensors import Checkpoint
from surgery.checkpoint.unkept import unkept
from surgery.errors import SurgeryError, SurgeryWarning
from surgery.identities import same_content, same_result
from surgery.script import Script, made_with
from surgery.stream.device import arithmetic_device
from surgery.stream.digests import Digests
from surgery.stream.ledger import Ledger
from surgery.stream.reading import Reader
from surgery.stream.writing import Told, write

if TYPE_CHECKING:
    from surgery.session import Session

NOT_BY_TRANSFORMERS = "surgery.load(folder) loads this model, transformers alone cannot"


def save(
    session: Session,
    folder: Path,
    *,
    overwrite: bool = False,
    plain: bool = False,
    max_shard_size: int | str = "5GB",
    memory: int | str | None = None,
    recorded: Script | None = None,
    resume: bool = False,
    told: Told | None = None,
    device: str = "cpu",
    ray: bool | str = False,
) -> Path:
    """Writes the session's model into `folder`; returns it.

    Weights (safetensors), config, tokenizer, the script, a card, and `surgery.json`, which says how
    the folder loads. With `plain` the model is made an ordinary one first: see `plain.made_plain`.
    Weights beyond `max_shard_size`, in bytes or as text, are divided into several files with an index.
    Everything is written beside it first and renamed at the end. Raises SurgeryError if the folder
    exists and `overwrite` is not set, if it cannot be written, or if the model cannot be made plain.

    Of a skeleton whose weights lie in a folder, these are read, edited and written piece by piece. At most
    `memory`, bytes or text, is taken by tensors that are read and computed. SurgeryError, and no folder
    is put in place, where base or result are others than `recorded`. `told` hears of bytes of weights that
    are written, of how many. If such a save is killed, or stopped by Ctrl-C, the
    same one with `resume` keeps the files of weights that were whole by then: see `resuming`. Values are
    computed on `device`, and with `ray` by its workers: see `surgery.stream.writing.write`.
    """
    folder = fence.writing(folder.expanduser())
    may_write(folder, overwrite)
    content = content_of(session, folder, plain, size_of(max_shard_size))
    if resume and content.lineage is None:
        raise SurgeryError(
            "a save of what is in memory cannot be gone on with", hint="saving without `resume`"
        )
    if (ray or device != "cpu") and content.lineage is None:
        raise SurgeryError("what is in memory is saved as it is, with no workers and no other device")
    where = arithmetic_device(device)
    limit_bytes = None if memory is None else size_of(memory, "memory")
    with ExitStack() as stack:
        ledger: Ledger | None = None
        if content.lineage is None:
            partial = stack.enter_context(written_whole(folder))
        else:
            partial, ledger = stack.enter_context(written_resumably(folder, resume))
        how = _Writing(partial, limit_bytes, recorded, told, ledger, where, ray)
        lost = _write(content, how)
        may_write(folder, overwrite)  # others may have written there in the meantime
    for sentence in lost:
        warnings.warn(sentence, SurgeryWarning, stacklevel=3)
    return folder


@dataclass(frozen=True)
class _Writing:
    """How a content is written: where to, in how much memory, who is told of what, and who computes.

    `recorded` is the script that this is a replay of.
    """

    folder: Path
    memory_bytes: int | None
    recorded: Script | None
    told: Told | None
    ledger: Ledger | None
    device: torch.device
    ray: bool | str


def _signed(content: Content, recorded: Script | None, fingerprint: Digests, device: torch.device) -> Script:
    """The script with the fingerprints of base and result, as those of what was read and written.

    SurgeryError if they are not those recorded.
    """
    opened = content.session.opened.model
    base = replace(content.script.base, fingerprint=fingerprint(opened))
    made = replace(
        content.script, base=base, result=fingerprint(content.model), made_with=made_with(device.type)
    )
    if recorded is not None:
        same_content(base, recorded)
        same_result(made, recorded, content.model, fingerprint)
        if recorded.result == made.result and recorded.likeness is not None:
            return replace(made, likeness=recorded.likeness)
    return replace(made, likeness=fingerprint.likeness(content.model, opened))


def _write(content: Content, how: _Writing) -> list[str]:
    """Writes all there is to write; returns sentences on what cannot be kept."""
    session, model, folder = content.session, content.model, how.folder
    weights = weights_of(content)
    reason, made, tensors = weights.reason, weights.made, weights.tensors
    with Reader() as reader:
        digests = write(
            folder,
            weights.stem,
            tensors,
            content.limit,
            weights.same,
            memory_bytes=how.memory_bytes,
            told=how.told,
            reader=reader,
            ledger=how.ledger,
            device=how.device,
            ray=how.ray,
        )
        script = content.script
        if content.lineage is not None:
            known = {lazy: digests[name] for name, lazy in tensors.items()}
            entries = Checkpoint.at(folder).entries
            written = {lazy: entries[name].lazy() for name, lazy in tensors.items()}
            fingerprint = Digests(content.lineage, known, reader, how.device, written)
            script = _signed(content, how.recorded, fingerprint, how.device)
        reader.refuse_changed()  # after the last of it was read
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
    write_manifest(
        folder,
        {
            "loads_with": "transformers" if reason is None else "surgery.load",
            "because": reason,
            "class": type(model).__name__,
            "fingerprint": script.result,
            "structure": weights.structure,
            "cast_buffers": cast_buffers(model, made),
            "frozen": [name for name, parameter in model.named_parameters() if not parameter.requires_grad],
        },
    )
    return lost


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
