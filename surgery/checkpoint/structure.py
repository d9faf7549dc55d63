"""How the structure of a model is made anew without its weights: class, config and structural steps."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from surgery.errors import SurgeryError
from surgery.families import model_type
from surgery.journal import Journal
from surgery.model import private_shell
from surgery.operation import Operation
from surgery.runs import Skeleton, carry_out, on_meta
from surgery.script import step_data, step_from
from surgery.weightless import weightless

Structure = dict[str, Any]
"""`class`, `config` (None for a plain module) and `steps` that lead from there to the model's structure."""


def structure_of(model: nn.Module) -> Structure:
    """The structure of a model that was opened as an object, in the dtype it has."""
    config: Any = getattr(model, "config", None) if model_type(model) else None
    settings = None if config is None else config.to_dict() | {"dtype": dtype_of(model)}
    return {"class": type(model).__name__, "config": settings, "steps": []}


def structure_of_config(config: dict[str, Any]) -> Structure:
    """The structure a transformers config.json describes; its class must be one of transformers' own."""
    if config.get("auto_map"):
        raise SurgeryError("brings code of its own, which is not run", path="config.json", got="auto_map")
    names = config.get("architectures")
    name = names[0] if isinstance(names, list) and names else None
    return {"class": model_class(name, "config.json: architectures").__name__, "config": config, "steps": []}


def model_class(name: object, where: str) -> Any:
    """The model class of transformers called `name`; a name from a file never reaches anything else."""
    import transformers

    found = getattr(transformers, name, None) if isinstance(name, str) else None
    if not (isinstance(found, type) and issubclass(found, transformers.PreTrainedModel)):
        raise SurgeryError(
            "names no model class of the installed transformers",
            path=where,
            got=name,
            hint="a newer transformers, or `surgery.open(module)`",
        )
    return found


def with_steps(structure: Structure | None, steps: tuple[Operation, ...]) -> Structure | None:
    """The structure after further steps; those that change values only are left out."""
    if structure is None:
        return None
    further = [step_data(step.structural()) for step in steps if not step.keeps_structure()]
    return structure | {"steps": [*structure["steps"], *further]}


def rebuilt(structure: Structure, where: str, into: nn.Module | None = None) -> nn.Module:
    """The structure with parameters on meta and real buffers; `into` is the base for a plain module."""
    base = _base(structure, where, into)
    run = Skeleton()
    for index, data in enumerate(structure["steps"]):
        step = step_from(data, f"{where}: structure.steps[{index}]")
        carry_out(step, base, Journal(), run)
    return base


def _base(structure: Structure, where: str, into: nn.Module | None) -> nn.Module:
    if structure["config"] is not None:
        return from_config(structure["class"], structure["config"])
    if into is None:
        raise SurgeryError(
            f"is a {structure['class']}, which only its own code can make",
            path=where,
            hint="`surgery.load(folder, into=module)` with a module like the one that was opened",
        )
    if type(into).__name__ != structure["class"]:
        raise SurgeryError(
            "was saved from another class", path=where, got=type(into).__name__, expected=structure["class"]
        )
    return private_shell(into, parameter=on_meta)


def from_config(class_name: str, config: dict[str, Any]) -> nn.Module:
    """A transformers model with parameters on meta and real buffers."""
    cls = model_class(class_name, "class")
    settings = cls.config_class.from_dict(dict(config))
    with weightless():
        model = cls._from_config(settings)
    made: nn.Module = model.eval()
    return made


def dtype_of(model: nn.Module) -> str:
    """The dtype of the first parameter, as configs write it; without parameters that of new ones."""
    first = next(model.parameters(), None)
    return str(torch.get_default_dtype() if first is None else first.dtype).removeprefix("torch.")
