"""How the structure of a model is made anew without its weights: class, config and structural steps."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from surgery.edits import Site
from surgery.errors import SurgeryError
from surgery.families import model_type
from surgery.journal import Journal
from surgery.model import Patient
from surgery.operation import Operation
from surgery.runs import Skeleton
from surgery.script import step_data, step_from

Structure = dict[str, Any]
"""`class`, `config` (None for a plain module) and `steps` that lead from there to the model's structure."""


def recipe_of(model: nn.Module) -> Structure:
    """The structure of a model that was opened as an object."""
    config: Any = getattr(model, "config", None) if model_type(model) else None
    return {
        "class": type(model).__name__,
        "config": config.to_dict() if config is not None else None,
        "steps": [],
    }


def structure_of_config(config: dict[str, Any]) -> Structure:
    """The structure a transformers config.json describes; its class must be one of transformers' own."""
    import transformers

    if config.get("auto_map"):
        raise SurgeryError("brings code of its own, which is not run", path="config.json", got="auto_map")
    names = config.get("architectures")
    name = names[0] if isinstance(names, list) and names else None
    found = getattr(transformers, name, None) if isinstance(name, str) else None
    if not (isinstance(found, type) and issubclass(found, transformers.PreTrainedModel)):
        raise SurgeryError(
            "names no model class of the installed transformers",
            path="config.json: architectures",
            got=name,
            hint="a newer transformers, or `surgery.open(module)`",
        )
    return {"class": name, "config": config, "steps": []}


def with_steps(structure: Structure | None, steps: tuple[Operation, ...]) -> Structure | None:
    """The structure after further steps; those that change values only are left out."""
    if structure is None:
        return None
    further = [step_data(step) for step in steps if not step.keeps_structure()]
    return structure | {"steps": [*structure["steps"], *further]}


def rebuilt(structure: Structure, where: str, into: nn.Module | None = None) -> nn.Module:
    """The structure with parameters on meta and real buffers; `into` is the base for a plain module."""
    base = _base(structure, where, into)
    run = Skeleton()
    for index, data in enumerate(structure["steps"]):
        step = step_from(data, f"{where}: structure.steps[{index}]")
        patient = Patient(base)
        for edit in list(step.resolved(patient).plan(patient)):
            edit.apply(Site(base, Journal(), run))
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
    from graph.shell import shell

    return shell(into, parameter=_on_meta).model


def from_config(class_name: str, config: dict[str, Any]) -> nn.Module:
    """A transformers model with parameters on meta and real buffers."""
    import transformers
    from accelerate import init_empty_weights

    cls = getattr(transformers, class_name)
    settings = cls.config_class.from_dict(dict(config))
    with init_empty_weights(include_buffers=False):
        model = cls._from_config(settings)
    model.tie_weights()  # the context gave each end of a declared tie a parameter of its own
    made: nn.Module = model.eval()
    return made


def _on_meta(parameter: nn.Parameter) -> nn.Parameter:
    empty = torch.empty_like(parameter, device="meta")
    return nn.Parameter(empty, requires_grad=parameter.requires_grad)


_INCIDENTAL = ("training", "name_or_path", "loss_type")


def why_not_plain(model: nn.Module) -> str | None:
    """Why transformers alone cannot load `model` from its config; None if it is proved that it can.

    The class is rebuilt from the config, and modules, scalar attributes, tensors and ties compared.
    """
    if model_type(model) is None:
        return f"{type(model).__name__} is no transformers model"
    config: Any = model.config
    settings = config.to_dict() | {"dtype": str(next(model.parameters()).dtype).removeprefix("torch.")}
    return _first_difference(model, from_config(type(model).__name__, settings))


def _first_difference(model: nn.Module, plain: nn.Module) -> str | None:
    mine, theirs = _described(model), _described(plain)
    for path in mine:
        if path not in theirs:
            return f"{path} is not what {type(model).__name__} has there"
        if mine[path] != theirs[path]:
            return f"{path} is {mine[path]}, and its config would make it {theirs[path]}"
    if missing := next((path for path in theirs if path not in mine), None):
        return f"{missing} is missing"
    return None


def _described(model: nn.Module) -> dict[str, str]:
    """Every module with its class and scalars, every tensor with shape, dtype and first path of its tie."""
    found: dict[str, str] = {}
    for path, module in model.named_modules(remove_duplicate=False):
        found[path or "(root)"] = type(module).__name__
        for name, value in module.__dict__.items():
            computes = not name.startswith("_") and name not in _INCIDENTAL  # the rest is bookkeeping
            if computes and isinstance(value, bool | int | float | str):
                found[f"{path}: {name}".removeprefix(": ")] = repr(value)
    first: dict[int, str] = {}
    for path, tensor in model.state_dict(keep_vars=True).items():
        site = first.setdefault(id(tensor), path)
        tied = f", tied to {site}" if site != path else ""
        found[path] = f"{list(tensor.shape)} {tensor.dtype}{tied}"
    return found
