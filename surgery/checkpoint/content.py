"""What a folder of a saved model is to hold, found out before anything is written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from torch import nn

from surgery.checkpoint.manifest import refuse_source
from surgery.checkpoint.names import on_disk
from surgery.checkpoint.plain import Plain, made_plain
from surgery.checkpoint.proof import first_difference, why_not_cast, why_not_plain
from surgery.checkpoint.shards import live_tensors
from surgery.checkpoint.structure import Structure, rebuilt, with_steps
from surgery.checkpoint.tensors import OWN_STEM, PLAIN_STEM
from surgery.errors import SurgeryError
from surgery.fingerprint import Fingerprinter
from surgery.lazy import Lazy
from surgery.script import Script
from surgery.stream.drawn import drawn
from surgery.stream.lineage import Lineage, checkpoint_of, stored_weights

if TYPE_CHECKING:
    from surgery.session import Session


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


@dataclass(frozen=True)
class Weights:
    """The tensors of a content by their names in files, which are called after `stem`.

    `same` (other → kept) are ties that the files note. `reason`: why transformers alone cannot load them;
    None if it can. `structure` says how the model is made anew, and `made` is that.
    """

    stem: str
    tensors: Mapping[str, Lazy]
    same: Mapping[str, str]
    reason: str | None
    structure: Structure | None
    made: nn.Module


def content_of(session: Session, folder: Path | None, plain: bool, limit: int) -> Content:
    """What a save of the session would write, into `folder` if that is known already.

    SurgeryError if it cannot be made `plain`, or if the folder is the one that is read.
    """
    script = session.script
    if session.is_skeleton:
        return _streamed(session, folder, script, plain, limit)
    if not plain or why_not_plain(session.model) is None:
        return Content(session, session.model, script, None, plain, limit)
    made = made_plain(session)
    result, likeness = Fingerprinter().signature(made.model, session.opened.model)
    further = replace(script, steps=(*script.steps, *made.steps), result=result, likeness=likeness)
    return Content(session, made.model, further, made, plain, limit)


def _streamed(session: Session, folder: Path | None, script: Script, plain: bool, limit: int) -> Content:
    """What a skeleton comes to once its steps are carried out on what its folder holds."""
    opened = session.opened
    if plain:
        raise SurgeryError(
            "a model opened without weights cannot be made plain", hint="opening it without `skeleton=True`"
        )
    if folder is not None:
        refuse_source(folder, opened.folder)
    made = drawn(opened.model, session.steps, opened.inputs, opened.tokenizer)
    lineage = Lineage()
    lineage.add(stored_weights(opened.model, checkpoint_of(opened)))
    lineage.add(made.tensors)
    return Content(session, made.model, script, None, plain, limit, lineage)


def weights_of(content: Content) -> Weights:
    """What is written of the weights; SurgeryError if it could not be loaded again."""
    session, model = content.session, content.model
    structure = with_steps(session.opened.rebuild, content.script.steps)
    reason, made = why_not_plain(model), _made_anew(content, structure)
    if reason is None and (reason := why_not_cast(model, made)) and content.ordinary:
        raise SurgeryError(
            f"cannot be made an ordinary transformers model: {reason}",
            path=session.opened.name,
            hint="saving without plain, or `cast` without `buffers`",
        )
    tensors, same = (on_disk(model), {}) if reason is None else live_tensors(model)
    if content.lineage is not None:
        tensors = {name: content.lineage.resolved(lazy) for name, lazy in tensors.items()}
    return Weights(PLAIN_STEM if reason is None else OWN_STEM, tensors, same, reason, structure, made)


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
