"""Selectors resolved with an error that helps: what matches nothing is refused with the nearest names."""

from __future__ import annotations

from torch import nn

from graph.nodes import ModuleGraph
from graph.paths import SelectorError, nearest
from graph.select import Selector, module_tree, select
from surgery.errors import SurgeryError


def resolve(text: str, source: ModuleGraph | nn.Module) -> tuple[str, ...]:
    """The module paths that `text` selects, at least one; SurgeryError for bad text or no match."""
    try:
        selector = Selector.parse(text)
    except SelectorError as error:
        raise SurgeryError(str(error), path=text) from None
    paths = select(selector, source)
    if paths:
        return paths
    children = {node.path: node.children for node in module_tree(source)}
    parent = text.rpartition("[")[0] if text.endswith("]") else text.rpartition(".")[0]
    hint = None
    if parent != text and children.get(parent):
        names = children[parent]
        shown = f"{names[0]} to {names[-1]}" if len(names) > 4 else ", ".join(names)
        hint = f"{parent or 'the root'} has {len(names)} children, {shown}"
    elif near := nearest(text, list(children)):
        hint = " or ".join(f"`{name}`" for name in near)
    kind = source.class_name if isinstance(source, ModuleGraph) else type(source).__name__
    raise SurgeryError(
        "matches nothing in this state", path=text, expected=f"a path or selector of {kind}", hint=hint
    )
