"""Finding adapters in a model, and what they wrap."""

from __future__ import annotations

from torch import nn

from graph.paths import is_among
from surgery.adapters.lora import LoraLinear
from surgery.errors import SurgeryError
from surgery.fields import Targets
from surgery.model import Patient


def adapted(patient: Patient, targets: Targets) -> list[tuple[str, LoraLinear]]:
    """The adapted modules at or under the targets, in the order of the tree; refused if there are none."""
    found = [
        (path, module)
        for path, module in patient.walk()
        if isinstance(module, LoraLinear) and is_among(path, targets.paths)
    ]
    if not found:
        raise SurgeryError("carries no adapter", path=targets.select, hint="`attach` first")
    return found


def base_of(module: nn.Module) -> nn.Module:
    """The module that an adapter wraps."""
    return module.get_submodule("base")
