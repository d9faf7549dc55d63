"""What a replay piece by piece would write, with nothing read but headers and nothing written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch import nn

from surgery.checkpoint.content import content_of, weights_of
from surgery.checkpoint.manifest import may_write
from surgery.checkpoint.shards import size_of
from surgery.identities import base_of, same_class
from surgery.mergekit import script_in
from surgery.reselecting import apply_anew
from surgery.script import Script
from surgery.sources import open as open_model
from surgery.stream.by_names import foreseen_by_names
from surgery.stream.layout import shards
from surgery.stream.outlook import Outlook, outlook
from surgery.stream.writing import refuse_large


def dry_run(
    script: Script | str | Path,
    model: str | Path | nn.Module | None = None,
    out: str | Path | None = None,
    *,
    inputs: Any = None,
    overwrite: bool = False,
    plain: bool = False,
    allow_factory: str | None = None,
    reselect: bool = False,
    memory: int | str | None = None,
    max_shard_size: int | str = "5GB",
) -> Outlook:
    """Every tensor that `surgery.replay` of these would write, where it comes from, and what it takes.

    Raises SurgeryError where the replay would before it writes, but for two things that take longer: whether
    the result runs is not traced, and the content of the base is not read, so its fingerprint is not
    compared. A step that reads values to be planned, such as a merge the fingerprints of its parents, does so
    here too. For the families whose names on disk are those in memory the class of the model is not loaded.
    """
    if not isinstance(script, Script):
        script = script_in(script, model)
    model = base_of(script, model, allow_factory)
    limit, memory_bytes = size_of(max_shard_size), None if memory is None else size_of(memory, "memory")
    folder = None if out is None else Path(out).expanduser()
    if folder is not None:
        may_write(folder, overwrite)
    if isinstance(model, str | Path) and inputs is None and not (plain or reselect):
        found = foreseen_by_names(script, model, folder, limit, memory_bytes)
        if found is not None:
            return found
    session = open_model(model, inputs, skeleton=True)
    if reselect:
        apply_anew(script, session.apply_unchecked)
    else:
        same_class(session.base, script)
        for step in script.steps:
            session.apply_unchecked(step)
    content = content_of(session, folder, plain, limit)
    assert content.lineage is not None  # a skeleton's
    weights = weights_of(content)
    made = shards(weights.stem, weights.tensors, limit, weights.same)
    refuse_large(made, memory_bytes)
    return outlook(made, content.lineage, (session.opened.model, content.model))
