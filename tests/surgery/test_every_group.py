"""Every group of units that is found in any model of the zoo can go: zeroed is sliced."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from surgery.edits import Site
from surgery.errors import SurgeryError
from surgery.journal import Journal
from surgery.model import Patient, private_shell
from surgery.runs import Live
from surgery.widths.config import config_edits
from surgery.widths.cutting import Cutting
from surgery.widths.part import Part
from surgery.widths.registry import KINDS
from tests.surgery.states import run
from tests.zoo import ATLAS
from tests.zoo.channels import CHANNELS

MODELS = ATLAS | CHANNELS
UNITS = ("neurons", "heads", "channels")
GROUPS: dict[str, tuple[int, int, int]] = {
    "bart": (4, 6, 0),
    "bert": (2, 2, 0),
    "clip": (4, 4, 0),
    "cnn": (0, 0, 3),
    "deepseek": (3, 0, 0),
    "densenet": (0, 0, 4),
    "detr": (4, 0, 7),
    "encoder": (2, 0, 0),
    "flat": (0, 0, 2),
    "gemma3": (6, 6, 0),
    "gpt2": (3, 3, 0),
    "grouped": (0, 0, 2),
    "halves": (0, 0, 3),
    "llama": (4, 4, 0),
    "mixtral": (0, 2, 0),
    "mixtral_eager": (0, 2, 0),
    "mobilenet": (0, 0, 5),
    "neox": (2, 2, 0),
    "qwen2": (3, 3, 0),
    "qwen3": (2, 2, 0),
    "qwen_moe": (3, 0, 0),
    "resnet": (0, 0, 11),
    "resnet18": (0, 0, 12),
    "roberta": (2, 2, 0),
    "sam": (4, 0, 0),
    "shared": (0, 0, 2),
    "swin": (6, 0, 0),
    "t5": (6, 3, 0),
    "unet": (0, 0, 12),
    "vit": (2, 2, 0),
    "whisper": (4, 6, 1),
}
"""How many groups of neurons, heads and channels there are in a model; in the others there are none."""


def found(model: nn.Module, inputs: Any, units: str) -> list[list[Part]]:
    """The parts that can be cut alone; in one list those that must be left alike."""
    try:
        parts = [part for part in KINDS[units](Patient(model, inputs)) if not part.refused]
    except SurgeryError:  # no coupling can be followed
        return []
    alike: dict[Any, list[Part]] = {}
    for place, part in enumerate(parts):
        if part.count > 1:
            alike.setdefault(part.alike or _weights(model, part) or place, []).append(part)
    return list(alike.values())


def _weights(model: nn.Module, part: Part) -> tuple[int, ...]:
    """What tells its tensors from those of others: of tied parts it is the same."""
    held = dict(model.named_parameters(remove_duplicate=False))
    return tuple(sorted({id(held[cut.path]) for cut in part.cuts if cut.path in held}))


def sliced(model: nn.Module, inputs: Any, units: str, parts: list[Part], kept: tuple[int, ...]) -> nn.Module:
    """A shell with these places of the parts alone."""
    made = private_shell(model)
    patient, left = Patient(made, inputs), dict.fromkeys(parts, len(kept))
    edits = list(Cutting(patient, left, dict.fromkeys(parts, kept), "first").edits())
    edits += config_edits(patient, KINDS[units](patient), left)
    site = Site(made, Journal(), Live())
    for edit in edits:
        edit.apply(site)
    return made


def zeroed(model: nn.Module, parts: list[Part], kept: tuple[int, ...]) -> nn.Module:
    """A copy in which weights that read the other places are zero."""
    made = copy.deepcopy(model)
    with torch.no_grad():
        for part in parts:
            for weight, dim, place in _read(made, part):
                if place[0] not in kept:
                    weight.narrow(dim, place[1], place[2]).zero_()
    return made


def _read(model: nn.Module, part: Part) -> Iterator[tuple[Tensor, int, tuple[int, int, int]]]:
    """(weight, dimension, (unit, start, size)) wherever a layer has inputs of one unit."""
    for cut in part.cuts:
        path, _, name = cut.path.rpartition(".")
        module = model.get_submodule(path)
        if name != "weight" or cut.dim != _inputs_of(module):
            continue
        for start, size in cut.sections:
            for unit in range(part.count):
                yield module.get_parameter(name), cut.dim, (unit, start + unit * size, size)


def _inputs_of(module: Any) -> int | None:
    if isinstance(module, nn.ConvTranspose1d | nn.ConvTranspose2d):
        return 0 if module.groups == 1 else None
    if isinstance(module, nn.Conv1d | nn.Conv2d | nn.Conv3d):
        return 1 if module.groups == 1 else None
    return {"Linear": 1, "Conv1D": 0}.get(type(module).__name__)


def output(model: nn.Module, inputs: Any) -> Tensor:
    """What the model gives, as one tensor."""
    given = run(model, inputs)
    return given if isinstance(given, Tensor) else given.pred_masks


@pytest.mark.parametrize("name", sorted(MODELS))
def test_zeroed_is_sliced(name: str) -> None:
    """Each group by itself, and there are as many as there should be; what goes had said something."""
    model, inputs = MODELS[name]()
    model = model.eval()
    groups = [found(model, inputs, units) for units in UNITS]
    assert tuple(map(len, groups)) == GROUPS.get(name, (0, 0, 0))
    before, differs = output(model, inputs) if any(groups) else None, 0
    for units, those in zip(UNITS, groups, strict=True):
        for parts in those:
            kept = tuple(place for place in range(parts[0].count) if place % 3 != 1)
            expected = output(zeroed(model, parts, kept), inputs)
            actual = output(sliced(model, inputs, units, parts, kept), inputs)
            assert torch.allclose(actual, expected, atol=1e-5, rtol=1e-4), parts[0].path
            differs += not torch.equal(expected, before)
    assert 2 * differs >= sum(map(len, groups))
