"""Modules that a model also holds outside its tree, in a plain list, dictionary or attribute of another.

Its forward may call them there: replacing or removing them in the tree would then change nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from torch import nn

from surgery.edits import Arrange, Edit, SetModule
from surgery.errors import SurgeryError


def refuse_aliases(edits: Sequence[Edit], model: nn.Module) -> None:
    """SurgeryError if an edit would move or replace a module that is held outside the tree too."""
    touched = dict(_touched(edits, model))
    if not touched:
        return
    for place, module in _held_outside(model):
        if module in touched:
            raise SurgeryError(
                f"is also held outside the module tree, in {place}, where an edit would not reach it",
                path=touched[module],
                hint=f"an nn.ModuleList in place of {place}",
            )


def _touched(edits: Sequence[Edit], model: nn.Module) -> Iterator[tuple[nn.Module, str]]:
    for edit in edits:
        if isinstance(edit, Arrange):
            for name, module in model.get_submodule(edit.path)._modules.items():
                if module is not None:
                    yield module, f"{edit.path}.{name}".lstrip(".")
        elif isinstance(edit, SetModule):
            try:
                yield model.get_submodule(edit.path), edit.path
            except AttributeError:  # made by an edit before this one
                continue


def _held_outside(model: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """(place, module) for every module found in a plain container or attribute."""
    for path, owner in model.named_modules():
        for name, value in owner.__dict__.items():
            if name not in ("_modules", "_parameters", "_buffers"):
                for module in _modules_in(value, 2):
                    yield f"{path}.{name}".lstrip("."), module


def _modules_in(value: object, depth: int) -> Iterator[nn.Module]:
    if isinstance(value, nn.Module):
        yield value
    elif depth and isinstance(value, list | tuple | set):
        for item in value:
            yield from _modules_in(item, depth - 1)
    elif depth and isinstance(value, dict):
        for item in value.values():
            yield from _modules_in(item, depth - 1)
