"""Selectors made and resolved, with errors that help: nearest names, and what was found instead."""

from __future__ import annotations

from torch import nn

from graph.nodes import ModuleGraph
from graph.paths import SelectorError, nearest, parse
from graph.select import Selector, module_tree
from surgery.errors import SurgeryError
from surgery.fields import Targets


def select(*texts: str) -> Targets:
    """A selector for any operation, to say more of it than its text does.

    `s.attach(surgery.select("**.{q,v}_proj").expect(24))` is refused unless it selects 24 modules, now and
    in every replay. Several texts select what each does. A selector's text has no way to say it: the text is
    a pattern, and a count is a claim about one model, which a search box shows anyway.
    """
    if not texts or not all(isinstance(text, str) for text in texts):
        raise SurgeryError("this selects nothing", got=repr(texts), expected="selectors, as text")
    return Targets(", ".join(texts))


def resolved(targets: Targets, source: ModuleGraph | nn.Module) -> Targets:
    """`targets` with the paths they select here; SurgeryError if these are not as many as expected."""
    paths = resolve(targets.select, source)
    if targets.count not in (None, len(paths)):
        raise SurgeryError(
            "selects another number of modules than expected",
            path=targets.select,
            got=f"{len(paths)}: {listed(paths)}",
            expected=targets.count,
            hint=_of_one_class(targets, paths, source) or f"`.expect({len(paths)})`, if these are meant",
        )
    return Targets(targets.select, paths, targets.count)


def listed(paths: tuple[str, ...]) -> str:
    """The paths for a sentence: the first four, and how many more."""
    shown = ", ".join(paths[:4])
    return shown if len(paths) <= 4 else f"{shown} and {len(paths) - 4} more"


def _of_one_class(targets: Targets, paths: tuple[str, ...], source: ModuleGraph | nn.Module) -> str | None:
    """The selector narrowed to a class of which there are as many as expected, if there is one."""
    branches = parse(targets.select)
    if len(branches) > 1 or branches[0].class_name or not branches[0].segments:
        return None
    classes = {node.path: node.class_name for node in module_tree(source)}
    found = [classes[path] for path in paths]
    fitting = [name for name in dict.fromkeys(found) if found.count(name) == targets.count]
    return f"`{targets.select.strip()}:{fitting[0]}`" if fitting else None


def resolve(text: str, source: ModuleGraph | nn.Module) -> tuple[str, ...]:
    """The module paths that `text` selects, at least one; SurgeryError for bad text or no match."""
    try:
        selector = Selector.parse(text)
    except SelectorError as error:
        raise SurgeryError(str(error), path=text) from None
    paths = selector.match(module_tree(source))
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
