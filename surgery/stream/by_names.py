"""What edits of blocks would write, foreseen by the names and shapes in a checkpoint.

A replay of them needs the model's class, and the library that has it takes seconds to load. Which tensors
come of them, and in which files, can be told without, for the families whose names on disk are those in
memory: any of their blocks can be taken out, moved or tied.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from surgery.aliased import every_parent
from surgery.checkpoint.manifest import refuse_source
from surgery.checkpoint.shards import live_tensors
from surgery.checkpoint.tensors import OWN_STEM, PLAIN_STEM
from surgery.errors import SurgeryError
from surgery.journal import Journal
from surgery.lazy import Lazy
from surgery.operation import Operation
from surgery.runs import Skeleton, carry_out
from surgery.script import Script
from surgery.stream.alike import AS_ON_DISK, alike
from surgery.stream.expected import as_in_memory
from surgery.stream.layout import shards
from surgery.stream.lineage import Lineage
from surgery.stream.named import tree
from surgery.stream.outlook import Outlook, outlook
from surgery.stream.unopened import names_alone, needs_names_only
from surgery.stream.writing import refuse_large

_OF_BLOCKS = ("remove", "keep", "move", "swap", "duplicate", "tie", "untie")


def foreseen_by_names(
    script: Script, model: str | Path, out: Path | None, limit: int, memory_bytes: int | None
) -> Outlook | None:
    """What a streamed replay would write; None where the model's class must be asked, or an edit is refused.

    SurgeryError for a base or a parent that cannot be read, for too little `memory_bytes` (None is any), and
    for an `out` that is the base's own folder.
    """
    if not all(_needs_no_class(step) for step in script.steps):
        return None
    found = alike(model, [parent.source for parent in every_parent(script.steps)])
    if found is None or [script.base.class_name] != found[2].get("architectures"):
        return None
    folder, checkpoint, config = found
    if not as_in_memory(checkpoint, config):
        return None
    if out is not None:
        refuse_source(out, folder)
    stored: dict[str, Lazy] = {name: entry.lazy() for name, entry in checkpoint.entries.items()}
    before, root = (tree(stored, AS_ON_DISK[str(config["model_type"])][1]) for _ in range(2))
    lineage, run = Lineage(), Skeleton()
    for module in (before, root):
        lineage.add((parameter, stored[name]) for name, parameter in module.named_parameters())
    try:
        for step in script.steps:
            carry_out(step, root, Journal(), run, signs=False)
    except SurgeryError:
        return None  # in the words that fit the model
    lineage.add((parameter, run.lineage[id(parameter)]) for parameter in run.parameters.values())
    tensors, same = live_tensors(root)
    resolved = {name: lineage.resolved(lazy) for name, lazy in tensors.items()}
    if _asks_for_more(resolved, same):
        return None
    made = shards(OWN_STEM if same else PLAIN_STEM, resolved, limit, same)
    refuse_large(made, memory_bytes)
    return outlook(made, lineage, (before, root))


def _needs_no_class(step: Operation) -> bool:
    """Whether a step can be carried out on modules of which the names are known, and no more."""
    if step.name == "tie" and getattr(step, "but", "nothing") != "nothing":
        return False
    return needs_names_only(step) or (step.name in _OF_BLOCKS and names_alone(step))


def _asks_for_more(tensors: Mapping[str, Lazy], same: Mapping[str, str]) -> bool:
    """Whether the class says how this is saved: several dtypes, and ties that a config can say."""
    ends = (name for pair in same.items() for name in pair)
    return len({lazy.dtype for lazy in tensors.values()}) > 1 or any(
        not name.startswith("model.layers.") for name in ends
    )
