"""The model in a parent's folder, of which back blocks are taken: its structure, its tensors, its values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from graph.tree import module_at
from surgery.calibration.batches import Shown
from surgery.calibration.hearing import heard
from surgery.checkpoint.load import load
from surgery.checkpoint.manifest import is_saved, read_manifest
from surgery.checkpoint.pretrained import pretrained
from surgery.checkpoint.structure import rebuilt
from surgery.checkpoint.tensors import Checkpoint
from surgery.checkpoint.tokens import tokens_in, tokens_of
from surgery.devices import device_of
from surgery.errors import SurgeryError
from surgery.fields import Parent
from surgery.lazy import Held, Lazy
from surgery.model import Patient
from surgery.sources.config import described, read_config
from surgery.stitching.fitting import Fit

FAMILIES = ("llama", "mistral", "qwen2", "qwen3")
"""Decoders whose blocks take hidden states, a mask and rotations, and whose mask and rotations do not depend
on their width."""

BLOCKS, NORM, ROTARY, HEAD = "model.layers", "model.norm", "model.rotary_emb", "lm_head"
_SAME = ("vocab_size", "layer_types", "sliding_window", "use_sliding_window")


@dataclass(frozen=True)
class Other:
    """A parent that fits behind the model: `skeleton` with its parameters on meta, and its checkpoint."""

    folder: Path
    skeleton: Any
    checkpoint: Checkpoint

    @property
    def depth(self) -> int:
        """How many blocks it has."""
        return len(self.skeleton.model.layers)

    @property
    def width(self) -> int:
        """Of its hidden states."""
        return int(self.skeleton.config.hidden_size)

    def tensors(self, path: str) -> list[tuple[str, Lazy]]:
        """The stored tensors of the module at `path`, by their names in it; a tie in it is one tensor."""
        made: dict[int, Lazy] = {}
        found = []
        module = module_at(self.skeleton, path)
        for name, parameter in module.named_parameters(remove_duplicate=False):
            if id(parameter) not in made:
                made[id(parameter)] = self.checkpoint.tensor([f"{path}.{name}"], Held.of(parameter))
            found.append((name, made[id(parameter)]))
        return found

    def loaded(self) -> nn.Module:
        """The model with its values."""
        return (
            load(self.folder)
            if is_saved(self.folder)
            else pretrained(type(self.skeleton).__name__, self.folder)
        )


def other_of(patient: Patient, parents: Sequence[Parent]) -> Other:
    """The one parent as a model that fits behind the patient; SurgeryError where it does not."""
    root: Any = patient.root
    if patient.model_type not in FAMILIES or not all(hasattr(root, name) for name in ("model", HEAD)):
        raise SurgeryError(
            "stitch is not proved on this model yet",
            path="(root)",
            got=type(root).__name__,
            expected=f"a decoder with its head, of the family {', '.join(FAMILIES)}",
        )
    if len(parents) != 1:
        raise SurgeryError("stitch needs one parent", got=f"{len(parents)} of them")
    checkpoint = Checkpoint.at(parents[0].source)
    folder = checkpoint.folder
    if is_saved(folder):
        structure = read_manifest(folder)["structure"]
    elif (folder / "config.json").is_file():
        structure, _ = described(read_config(folder / "config.json"), str(folder / "config.json"))
    else:
        raise SurgeryError("holds no model", path=str(folder), expected="weights with their config.json")
    if structure["class"] != type(root).__name__:
        raise SurgeryError(
            "is a model of another class",
            path=str(folder),
            got=structure["class"],
            expected=type(root).__name__,
        )
    skeleton: Any = rebuilt(structure, str(folder))
    other = Other(folder, skeleton, checkpoint.for_model(skeleton))
    _refuse_unlike(patient, other)
    return other


def _refuse_unlike(patient: Patient, other: Other) -> None:
    """SurgeryError where the back blocks would be given what is not meant for them."""
    root: Any = patient.root
    mine, theirs = root.config, other.skeleton.config
    for name in _SAME:
        one, two = getattr(mine, name, None), getattr(theirs, name, None)
        if name == "layer_types":  # one per block: those of both must be of one type alone
            one, two = set(one or ()), set(two or ())
            if one == two and len(one) < 2:
                continue
            one, two = sorted(one), sorted(two)
        if one != two:
            raise SurgeryError(
                f"has another {name}, which goes for the whole model",
                path=str(other.folder),
                got=two,
                expected=one,
            )
    rotary, theirs_rotary = root.model.rotary_emb, other.skeleton.model.rotary_emb
    same = rotary.rope_type == theirs_rotary.rope_type and torch.equal(
        rotary.inv_freq.cpu(), theirs_rotary.inv_freq.cpu()
    )
    if not same:
        raise SurgeryError(
            "rotates its heads in another way (head_dim or rope_parameters), and rotations are made once for "
            "all blocks",
            path=str(other.folder),
            got=f"head_dim {2 * len(theirs_rotary.inv_freq)}",
            expected=f"head_dim {2 * len(rotary.inv_freq)} and the same rope_parameters",
        )
    own, parent = tokens_of(patient.tokenizer), tokens_in(other.folder)
    if own is not None and parent is not None and (text := own.moved(parent)):
        raise SurgeryError(
            f"has other tokens: {text!r} has another id",
            path=str(other.folder),
            got=parent.ids[text],
            expected=own.ids[text],
        )


def fits(
    patient: Patient, other: Other, pairs: Sequence[tuple[int, int]], batches: Sequence[Shown], verb: str
) -> dict[tuple[int, int], Fit]:
    """For each (front blocks, first back block) the fit from what the front gives to what the back is given.

    Every batch runs through both models.
    """
    width = int(patient.config.hidden_size)
    found = {pair: Fit.between(width, other.width) for pair in pairs}
    model = other.loaded().to(device_of(patient.root))
    fronts = {f"{BLOCKS}.{front - 1}": front for front, _ in pairs}
    backs = {f"{BLOCKS}.{back}": back for _, back in pairs}
    given: dict[int, Tensor] = {}
    gave: dict[int, Tensor] = {}
    for batch in batches:
        one = [batch]
        heard(patient.root, one, fronts, lambda path, _, out: gave.update({fronts[path]: out}), verb)
        heard(model, one, backs, lambda path, into, _: given.update({backs[path]: into}), verb)
        for (front, back), fit in found.items():
            fit.add(gave[front], given[back])
    return found
