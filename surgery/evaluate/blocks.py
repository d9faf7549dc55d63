"""The blocks of a model, and which of an edited model come from which."""

from __future__ import annotations

from collections.abc import Mapping

from torch import nn

from graph.tree import children, walk
from surgery.errors import SurgeryError
from surgery.families import FAMILIES, model_type
from surgery.model import Patient


def list_paths(model: nn.Module) -> list[str]:
    """Paths of the lists of blocks: those of the family, else the outermost lists of like modules."""
    family = FAMILIES.get(model_type(model) or "")
    if family is not None and (known := Patient(model).block_lists(family)):
        return list(known)
    return _lists(model)


def block_paths(model: nn.Module) -> tuple[str, ...]:
    """Paths of the blocks in those lists."""
    return tuple(
        f"{path}.{name}" if path else name for path in list_paths(model) for name in _names(model, path)
    )


def alike(module: nn.Module) -> bool:
    """Whether it is a list, or a sequence, of two or more modules of one class."""
    kinds = [type(child) for _, child in children(module)]
    return isinstance(module, nn.ModuleList | nn.Sequential) and len(kinds) > 1 and len(set(kinds)) == 1


def aligned(
    original: nn.Module, edited: nn.Module, origins: Mapping[str, str] | None
) -> tuple[tuple[str, str], ...]:
    """Pairs of a block's path in the original and in the edited model, in the order of the original.

    `origins` says of paths in the edited model where they were in the original. Without, blocks are taken to
    stand where they stood; raises SurgeryError where a list has another length by now.
    """
    blocks = block_paths(original)
    if origins is not None:
        here = {origin: path for path, origin in origins.items()}
        return tuple((path, here[path]) for path in blocks if path in here)
    if blocks != block_paths(edited):
        raise SurgeryError(
            "nothing says which block of the edited model was which in the original",
            got=f"{len(block_paths(edited))} blocks",
            expected=f"{len(blocks)}",
            hint="`s.evaluate(tasks=['layers'])` of a session, which knows",
        )
    return tuple((path, path) for path in blocks)


def _lists(model: nn.Module) -> list[str]:
    found: list[str] = []
    for path, module in walk(model):
        within = any(path.startswith(f"{other}.") or not other for other in found)
        if not within and alike(module):
            found.append(path)
    return found


def _names(model: nn.Module, path: str) -> list[str]:
    return [name for name, _ in children(model.get_submodule(path))]
