"""Replays that need no model: where only values change, the names and shapes in a checkpoint are enough.

Opening a model takes its class, and the library that has it seconds to load. A merge of whole checkpoints
asks for neither: the tree of modules is the tree of names. This is done for scripts that record no
fingerprints, since those are of models, and for families whose names on disk are those in memory.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from torch import nn

from graph.paths import parse
from surgery.aliased import every_parent
from surgery.checkpoint.card import written
from surgery.checkpoint.companions import carry_along
from surgery.checkpoint.manifest import SCRIPT, may_write, refuse_source, write_manifest
from surgery.checkpoint.resuming import forget_finished, written_resumably
from surgery.checkpoint.tensors import PLAIN_STEM, Checkpoint
from surgery.fields import Target, Targets
from surgery.fingerprint import combined
from surgery.journal import Journal
from surgery.lazy import Held, Lazy
from surgery.merging import WithParents
from surgery.operation import Operation
from surgery.operations.cast import Cast
from surgery.operations.scale import Scale
from surgery.operations.sparsify import Sparsify
from surgery.runs import Skeleton, carry_out
from surgery.script import Script, made_with
from surgery.stream.alike import alike
from surgery.stream.device import arithmetic_device
from surgery.stream.layout import shards
from surgery.stream.lineage import Lineage
from surgery.stream.named import tree
from surgery.stream.outlook import Outlook, outlook
from surgery.stream.writing import Told, refuse_large, write


@dataclass(frozen=True)
class Unopened:
    """A base that is known by its checkpoint and config alone, and the script to be carried out on it."""

    folder: Path
    checkpoint: Checkpoint
    config: dict[str, Any]
    script: Script


def unopened(script: Script, model: str | Path | None) -> Unopened | None:
    """The base as a checkpoint, where names are enough for this script; None where a model is needed.

    SurgeryError for a base or a parent that cannot be read.
    """
    source = model or script.base.source
    if source is None or script.base.fingerprint or script.result or not script.steps:
        return None
    if not all(map(needs_names_only, script.steps)):
        return None
    found = alike(source, [parent.source for parent in every_parent(script.steps)])
    if found is None or script.base.class_name not in ("", *(found[2].get("architectures") or [])):
        return None
    return Unopened(*found, script)


def tree_of_names(source: str | Path, others: Iterable[str]) -> nn.Module | None:
    """Modules and parameters on meta as a base's names have them; None where a model is needed.

    It is if the base is of another family, or one of the others has not the same tensors.
    """
    found = alike(source, others)
    return None if found is None else tree({name: item.lazy() for name, item in found[1].entries.items()})


def carried_out(
    base: Unopened,
    out: Path,
    *,
    limit: int,
    overwrite: bool = False,
    memory_bytes: int | None = None,
    resume: bool = False,
    told: Told | None = None,
    device: str = "cpu",
    ray: bool | str = False,
) -> tuple[Script, str]:
    """Writes the folder; gives the script as it was resolved, and the fingerprint of the tensors.

    Files of at most `limit` bytes are written as by any streamed save, and gone on with if it was killed;
    `device` and `ray` say who computes. SurgeryError, before anything is written, for a folder that is not
    free (see `surgery.checkpoint.manifest.may_write`) or is the base's own.
    """
    where = arithmetic_device(device)
    forget_finished(out)
    may_write(out, overwrite)
    refuse_source(out, base.folder)
    steps, tensors, _ = _planned(base)
    name = (base.config.get("architectures") or [""])[0]
    script = replace(
        base.script,
        base=replace(base.script.base, class_name=name),
        steps=steps,
        made_with=made_with(where.type),
    )
    with written_resumably(out, resume) as (partial, ledger):
        digests = write(
            partial,
            PLAIN_STEM,
            tensors,
            limit,
            base.checkpoint.same,
            memory_bytes=memory_bytes,
            told=told,
            ledger=ledger,
            device=where,
            ray=ray,
        )
        found = combined(f"tensor {name} {digest}" for name, digest in digests.items())
        _beside(base, script, tensors, found, partial)
        may_write(out, overwrite)  # others may have written there in the meantime
    return script, found


def foreseen(base: Unopened, *, limit: int, memory_bytes: int | None = None) -> Outlook:
    """What would be written; SurgeryError where `carried_out` would refuse."""
    _, tensors, lineage = _planned(base)
    made = shards(PLAIN_STEM, tensors, limit, base.checkpoint.same)
    refuse_large(made, memory_bytes)
    return outlook(made, lineage, ())


def _planned(base: Unopened) -> tuple[tuple[Operation, ...], dict[str, Lazy], Lineage]:
    """The steps as they were resolved, and what each tensor comes to, by the names in the checkpoint."""
    stored: dict[str, Lazy] = {name: entry.lazy() for name, entry in base.checkpoint.entries.items()}
    root, run = tree(stored), Skeleton()
    before = dict(root.named_parameters())
    steps = tuple(carry_out(step, root, Journal(), run, signs=False) for step in base.script.steps)
    lineage = Lineage()
    lineage.add((parameter, stored[name]) for name, parameter in before.items())
    lineage.add((parameter, run.lineage[id(parameter)]) for parameter in run.parameters.values())
    after = dict(root.named_parameters(remove_duplicate=False))
    return steps, {name: lineage.resolved(Held.of(after[name])) for name in stored}, lineage


def _beside(base: Unopened, script: Script, tensors: Mapping[str, Lazy], found: str, folder: Path) -> None:
    """Writes config, tokenizer, script, card and manifest."""
    dtypes = {lazy.dtype for lazy in tensors.values() if lazy.dtype.is_floating_point}
    config = dict(base.config)
    if len(dtypes) == 1:
        config.pop("torch_dtype", None)  # as it was called before
        config["dtype"] = str(dtypes.pop()).removeprefix("torch.")
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    generation = base.folder / "generation_config.json"
    if generation.is_file():
        shutil.copyfile(generation, folder / generation.name)
    carry_along(base.folder, None, folder, config_names_family=True)
    script.write(folder / SCRIPT)
    size = sum(lazy.count * lazy.dtype.itemsize for lazy in tensors.values())
    count = sum(lazy.count for lazy in tensors.values())
    (folder / "README.md").write_text(written(base.folder.name, count, size, script), encoding="utf-8")
    write_manifest(
        folder,
        {
            "loads_with": "transformers",
            "because": None,
            "class": script.base.class_name,
            "fingerprint": None,
            "tensors": found,
            "structure": {"class": script.base.class_name, "config": config, "steps": []},
            "cast_buffers": [],
            "frozen": [],
        },
    )


def needs_names_only(step: Operation) -> bool:
    """Whether a step changes values alone, of modules that are selected by their names.

    What a `*` matches in a model are its modules, of which the names of tensors tell only some.
    """
    if not isinstance(step, WithParents | Scale | Cast | Sparsify):
        return False
    if isinstance(step, WithParents) and step.vocabulary != "same":
        return False
    return names_alone(step) and (step.keeps_structure() or isinstance(step, Cast))


def names_alone(step: Operation) -> bool:
    """Whether modules are selected by nothing but their names."""
    selectors = [
        value.select for spec in step.specs if isinstance(value := getattr(step, spec.name), Targets | Target)
    ]
    return not any("*" in text or branch.class_name for text in selectors for branch in parse(text))
