"""Which modules of a model are taped: its blocks, and what stands beside them.

To record at every module would cost a third of a forward; at blocks it costs a hundredth.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from torch import nn

from graph.tree import children, join
from surgery.evaluate.blocks import alike

_LISTS_DEEP = 2
"""Stages have blocks; what is a list further in (experts, the two halves of a block) is part of the block."""


def boundaries(model: nn.Module) -> dict[str, nn.Module]:
    """The modules to be taped by their paths, none inside another, each once; the head of a language model,
    whose outputs are too large to keep, is none of them.
    """
    asked: Any = getattr(model, "get_output_embeddings", None)
    head = asked() if callable(asked) else None
    found: dict[str, nn.Module] = {}
    seen = {id(head), id(model)}
    for path, module in _below("", model, 0):
        if id(module) not in seen and module is not model:
            seen.add(id(module))
            found[path] = module
    return found


def _below(path: str, module: nn.Module, lists: int) -> Iterator[tuple[str, nn.Module]]:
    for name, child in children(module):
        inside = join(path, name)
        if not _opens(child, lists):
            yield inside, child
        else:
            yield from _below(inside, child, lists + isinstance(child, nn.ModuleList | nn.Sequential))


def _opens(module: nn.Module, lists: int) -> bool:
    """Whether its children are taped in its place."""
    if isinstance(module, nn.ModuleList | nn.ModuleDict):
        return True  # it is never called
    if lists >= _LISTS_DEEP:
        return False
    if isinstance(module, nn.Sequential):
        return _has_blocks(module)
    if lists:
        return any(_has_blocks(inner) for inner in module.modules())
    return any(isinstance(inner, nn.ModuleList | nn.Sequential) for inner in module.modules())


def _has_blocks(module: nn.Module) -> bool:
    """Whether it is a sequence of modules of one class that have children."""
    return alike(module) and any(True for _, child in children(module) for _ in children(child))
