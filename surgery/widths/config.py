"""What a model says of how wide its parts are, in its config and on modules around them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from surgery.edits import Edit, SetAttribute, SetConfig
from surgery.errors import SurgeryError
from surgery.model import Patient
from surgery.widths.part import Follow, Part
from surgery.widths.saying import said_anew


def config_edits(patient: Patient, parts: list[Part], left: dict[Part, int]) -> Iterator[Edit]:
    """What the model says of all its parts, once it is the same for every part that goes by it."""
    agreed: dict[Follow, set[int]] = {}
    for part in parts:
        for follow in part.agreed:
            agreed.setdefault(follow, set()).add(left.get(part, part.count))
    for follow, found in agreed.items():
        if len(found) == 1:
            yield SetAttribute(follow.path, follow.name, found.pop() * follow.size)
    yield from _in_config(patient, parts, left)
    yield from said_anew(patient, left)


def _in_config(patient: Patient, parts: list[Part], left: dict[Part, int]) -> Iterator[Edit]:
    """The config's figures, once they are the same for every part that goes by them.

    A figure that means something else stays; so does what the config refuses.
    """
    if patient.model_type is None:
        return
    changes = _agreed(patient, parts, left)
    if changes and not _accepts(patient.config, changes):
        changes = {}
    for part in parts:
        if part.reads_config and part in left and not changes.keys() >= dict(part.config).keys():
            raise SurgeryError(
                "reads its widths from the config, which does not take the new ones",
                path=part.path,
                got=", ".join(f"{name} = {left[part] * size}" for name, size in part.config),
            )
    for name, value in changes.items():
        yield SetConfig(name, value)


def _agreed(patient: Patient, parts: list[Part], left: dict[Part, int]) -> dict[str, int]:
    """What the config is to say: figures that all parts agree on, those of one part all or none."""
    config = patient.config
    wanted: dict[str, set[int]] = {}
    before: dict[str, set[int]] = {}
    for part in parts:
        for name, size in part.config:
            wanted.setdefault(name, set()).add(left.get(part, part.count) * size)
            before.setdefault(name, set()).add(part.count * size)
        for name, value in part.fixed:
            wanted.setdefault(name, set()).add(value)
    there = {name: getattr(config, name) for name in before if hasattr(config, name)}
    lost = {name for name, values in wanted.items() if len(values) > 1}
    lost |= {
        name
        for name, said in there.items()
        if said is not None and said not in before[name] and name not in lost and not _means(patient, name)
    }
    changes: dict[str, int] = {}
    for part in parts:
        names = [name for name, _ in part.config if name in there] + [name for name, _ in part.fixed]
        if there.keys() & set(names) and not lost & set(names):
            changes |= {name: next(iter(wanted[name])) for name in names}
    return changes


def _means(patient: Patient, name: str) -> bool:
    """Whether it is this figure that parts go by in the model that transformers makes of the config.

    Asked where no part has it any more: the last one may have been made narrower before all agreed.
    """
    from surgery.checkpoint.proof import from_own_config  # which knows of steps, and so of operations
    from surgery.widths.registry import KINDS

    try:
        made = Patient(from_own_config(patient.root))
        parts = [part for units in ("neurons", "heads", "experts") for part in KINDS[units](made)]
    except SurgeryError:  # a class of one's own, or one that is not proved
        return False
    said = {part.count * size for part in parts for other, size in part.config if other == name}
    return said == {getattr(patient.config, name)}


def _accepts(config: Any, changes: dict[str, int]) -> bool:
    """Whether the config's class takes these values; some want heads that divide the hidden width."""
    names = {getattr(config, "attribute_map", {}).get(name, name): value for name, value in changes.items()}
    try:
        type(config).from_dict(config.to_dict() | names)
    except Exception:  # its validation raises what it likes
        return False
    return True
