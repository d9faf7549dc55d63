"""What another checkpoint or adapter has for each part of this model: to know before parts are merged."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from graph.paths import is_below
from surgery.checkpoint.adapter import Adapter
from surgery.checkpoint.tensors import Checkpoint
from surgery.errors import SurgeryError
from surgery.merging.vocabularies import Vocabularies, Vocabulary
from surgery.model import Patient


@dataclass(frozen=True)
class Fit:
    """Of some parts of a model, what a parent has for them.

    `refused`: by the path of a part, why it cannot be merged there; parts that can be are missing.
    `touched`: by the path of a part, the modules in it that an adapter changes; empty for a checkpoint.
    `beyond`: names of tensors that the parent has and the model has not.
    """

    refused: dict[str, SurgeryError]
    touched: dict[str, tuple[str, ...]]
    beyond: tuple[str, ...]


def fit(
    patient: Patient,
    parent: Checkpoint | Adapter,
    paths: Sequence[str],
    vocabulary: Vocabulary = "same",
) -> Fit:
    """Looks for the tensors of the modules at `paths` in a parent; only headers of files are read.

    Names, shapes and rows of tokens are taken as in a merge. SurgeryError where nothing can be said at all.
    """
    found, rows = parent.for_model(patient.root), Vocabularies(patient, vocabulary)
    sites, known = patient.sites(), dict[int, SurgeryError | None]()
    refused: dict[str, SurgeryError] = {}
    for path in paths:
        for _, lazy in patient.tensors(path):
            key = id(lazy.parameter)
            if not lazy.dtype.is_floating_point:
                continue
            if key not in known:
                known[key] = None
                try:
                    rows.tensor(found, sites[key], lazy)
                except SurgeryError as error:
                    known[key] = error
            said = known[key]
            if said is not None:
                refused[path] = said
                break
    mine = {name for name, _ in patient.root.named_parameters(remove_duplicate=False)}
    mine |= {name for name, _ in patient.root.named_buffers(remove_duplicate=False)}
    beyond = tuple(name for name in found.names() if name not in mine)
    return Fit(refused, _touched(found, paths), beyond)


def _touched(parent: Checkpoint | Adapter, paths: Sequence[str]) -> dict[str, tuple[str, ...]]:
    if not isinstance(parent, Adapter):
        return {}
    modules = [name.removesuffix(".weight") for name in (*parent.factors, *parent.whole)]
    inside = {path: tuple(name for name in modules if is_below(name, path)) for path in paths}
    return {path: names for path, names in inside.items() if names}
