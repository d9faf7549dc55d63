"""Modules that edits leave alone: scripted ones, and those that keep their weights packed.

Replacing such a module, wrapping it, or moving the block around it changes nothing in it. What would reach
into it, or copy its weights as if they were plain numbers, is refused for every operation here.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import nn

from surgery.edits import (
    Arrange,
    Edit,
    PlaceModule,
    SetAttribute,
    SetBuffer,
    SetModule,
    SetTensor,
)
from surgery.errors import SurgeryError
from surgery.lazy import Held, Lazy

_PACKED = (
    *("auto_gptq", "awq", "bitsandbytes", "gptqmodel", "hqq", "optimum.quanto"),
    *("torch.ao.nn.quantized", "torch.ao.nn.intrinsic.quantized", "torch.ao.nn.sparse.quantized"),
)

_EIGHT_BITS = {torch.int8, torch.uint8} | {
    found for found in vars(torch).values() if isinstance(found, torch.dtype) and "float8" in str(found)
}


def refuse_sealed(edits: Sequence[Edit], model: nn.Module) -> None:
    """SurgeryError if an edit would change something inside a scripted or quantised module."""
    replaced: set[str] = set()
    proved: dict[str, nn.Module | None] = {}
    for edit in edits:
        for owner in _owners(edit):
            if owner not in proved and (not replaced or replaced.isdisjoint(_around(owner))):
                _refuse_inside(model, owner, proved)
        if isinstance(edit, SetTensor | SetBuffer) and not isinstance(edit.tensor, Held):
            _refuse_packed(edit.path, edit.tensor)
        if isinstance(edit, SetModule):
            replaced.add(edit.path)


def why_sealed(module: nn.Module) -> str | None:
    """Why nothing inside `module` can be edited; None if it can."""
    if isinstance(module, torch.jit.ScriptModule):
        return "is scripted"
    if type(module).__module__.startswith(_PACKED):
        return "is quantised"
    if not module._modules and any(_is_packed(tensor) for tensor in module._parameters.values()):
        return "is quantised"
    return None


def _owners(edit: Edit) -> Iterator[str]:
    """The paths of the modules that the edit changes."""
    if isinstance(edit, SetTensor | SetBuffer | SetModule | PlaceModule):
        yield edit.path.rpartition(".")[0]
    elif isinstance(edit, Arrange | SetAttribute):
        yield edit.path


def _around(path: str) -> Iterator[str]:
    """The path, those of the modules around it, and the root's."""
    yield path
    while path:
        path = path.rpartition(".")[0]
        yield path


def _refuse_inside(model: nn.Module, path: str, proved: dict[str, nn.Module | None]) -> None:
    """Refuses if `path`, or a module around it, is sealed; a path that an edit is yet to make ends early.

    Paths that are `proved` not to be are not asked again; those that are found not to be are put there, with
    the module there, None for one that is yet to be made.
    """
    open_ = [path]
    while open_[-1] and (around := open_[-1].rpartition(".")[0]) not in proved:
        open_.append(around)
    for place in reversed(open_):
        around, _, name = place.rpartition(".")
        outer = proved[around] if place else None
        module = model if not place else None if outer is None else outer._modules.get(name)
        proved[place] = module
        if module is not None and (why := why_sealed(module)):
            raise SurgeryError(
                f"{why}, and nothing inside it can be edited",
                path=place or "(root)",
                got=type(module).__name__,
                hint="opening the model as it was before, or targets around it",
            )


def _refuse_packed(path: str, lazy: Lazy) -> None:
    if isinstance(lazy, Held) and _is_packed(lazy.parameter):
        raise SurgeryError(
            "would be made from quantised weights as if they were plain numbers",
            path=path,
            got=f"{type(lazy.parameter).__name__} of {lazy.dtype}",
        )
    for item in lazy.inputs:
        _refuse_packed(path, item)


def _is_packed(tensor: torch.Tensor | None) -> bool:
    """Whether a parameter holds no plain numbers: quantised, in 8 bits, or tensors in a tensor."""
    if tensor is None:
        return False
    return tensor.is_quantized or tensor.dtype in _EIGHT_BITS or hasattr(tensor, "__tensor_flatten__")
