"""Which operations suit a selection, as far as one sees at once, and why the others do not."""

from __future__ import annotations

from graph.naming import selector_of
from graph.nodes import ModuleGraph, ModuleNode
from graph.paths import escape, is_below
from graph.rollup import rollup
from surgery.adapters.drawn import adapter_around, adapters, is_adapter
from surgery.merging import Merging
from surgery.registry import operations
from widgets.desk import is_numbered

LINEAR = ("Linear", "Conv1D")
_MADE = ("AtomLinear", "HeadsLinear", "MultiplexedLinear")
_CONVOLUTIONS = ("Conv1d", "Conv2d")
_WEIGHED = (*_CONVOLUTIONS, "Embedding")
_LISTS = ("ModuleList", "ModuleDict")


def reasons(graph: ModuleGraph, selection: list[str]) -> dict[str, str | None]:
    """Why each operation does not suit the selection; None if it does, as far as one sees at once."""
    if not selection:
        return dict.fromkeys(operations(), "select something first")
    blocks, shares = all(is_block(graph, path) for path in selection), rollup(graph)
    found = set(adapters(graph))
    adapted = any(_near(path, selection) for path in found)
    parts = all(path and graph[path].class_name not in _LISTS for path in selection) or "select parts"
    floats = any(
        _has_floats(node) and is_below(node.path, path) for node in graph.modules for path in selection
    )
    known = {
        **dict.fromkeys(("remove", "keep", "move", "duplicate"), blocks or "select blocks"),
        "swap": (blocks and len(selection) == 2) or "select two blocks",
        "merge": (blocks and len(selection) > 1) or "select two blocks or more",
        **dict.fromkeys(("tie", "recur", "multiplex"), len(selection) > 1 or "select two modules or more"),
        **dict.fromkeys(
            ("share_atoms", "share_heads"), len(selection) > 1 or not blocks or "select two modules or more"
        ),
        "shorten": (blocks and len(selection) > 1) or "select two blocks or more",
        "untie": any(shares[path].shared for path in selection)
        or "nothing selected is tied to something else",
        "multiply_out": _has(graph, selection, *_MADE) or "nothing selected is made of shared weights",
        "detach": adapted or "nothing selected carries an adapter",
        **dict.fromkeys(("fold", "activate"), adapted or "nothing selected carries an adapter"),
        "combine": any(f"{path}.base" in found and _near(path, selection) for path in found)
        or "nothing selected carries two adapters",
        **dict.fromkeys(("attach", "adopt"), bool(linears(graph, selection)) or "nothing selected is linear"),
        **dict.fromkeys(
            ("wanda", "sparse_gpt", "low_rank"),
            _has(graph, selection, *LINEAR, *_CONVOLUTIONS) or "nothing selected is linear",
        ),
        "tucker": _has(graph, selection, "Conv2d") or "nothing selected is a convolution",
        "fold_norm": _has_statistics(graph, selection) or "nothing selected has running statistics",
        "to_rms_norm": _has(graph, selection, "LayerNorm") or "nothing selected is a LayerNorm",
        "reparameterize": _has(graph, selection, "Conv2d") or "nothing selected is a convolution",
        "insert": (blocks and len(selection) == 1) or "select one block",
        **dict.fromkeys(("replace", "wrap", "skip"), parts),
        **dict.fromkeys(
            ("cast", "freeze", "scale", *_mergers()), floats or "nothing selected has parameters"
        ),
        "recalibrate": _has_statistics(graph, selection) or "nothing selected has running statistics",
    }
    return {name: None if (said := known.get(name, True)) is True else str(said) for name in operations()}


def _mergers() -> list[str]:
    return [name for name, cls in operations().items() if issubclass(cls, Merging)]


def _has_floats(node: ModuleNode) -> bool:
    return any(tensor.kind == "parameter" and "float" in tensor.dtype for tensor in node.tensors)


def _has_statistics(graph: ModuleGraph, selection: list[str]) -> bool:
    inside = [node for node in graph.modules if any(is_below(node.path, path) for path in selection)]
    return any(tensor.path.endswith(".running_mean") for node in inside for tensor in node.tensors)


def _has(graph: ModuleGraph, selection: list[str], *classes: str) -> bool:
    inside = [node for node in graph.modules if any(is_below(node.path, path) for path in selection)]
    return any(node.class_name in classes for node in inside)


def _near(adapter: str, selection: list[str]) -> bool:
    return any(path == f"{adapter}.base" or is_below(adapter, path) for path in selection)


def is_block(graph: ModuleGraph, path: str) -> bool:
    """Whether the module is an item of a list."""
    parent = path.rpartition(".")[0]
    return bool(path) and parent in graph and is_numbered(graph, parent)


def linears(graph: ModuleGraph, selection: list[str]) -> list[str]:
    """Selectors of the linear modules at or under the selection that carry no adapter yet.

    What is selected itself may also be a convolution, an embedding, or adapted already. Where all carry one,
    the adapters: another goes beside them.
    """
    found: list[str] = []
    for path in selection:
        around = adapter_around(graph, path) or path
        if is_adapter(graph[around]) or graph[path].class_name in _WEIGHED:
            found.append(selector_of([around], graph))
            continue
        linear = [node for node in graph.modules if node.class_name in LINEAR and is_below(node.path, path)]
        free = [node for node in linear if adapter_around(graph, node.path) is None]
        if len(free) < len(linear) or [node.path for node in free] == [path]:
            found += [selector_of([node.path for node in free], graph)] if free else []
        else:
            kinds = sorted({node.class_name for node in free})
            found += [f"{escape(path)}.**:{kind}".lstrip(".") for kind in kinds]
    outer = beside(graph, selection) if not found else []
    return [selector_of(outer, graph)] if outer else found


def beside(graph: ModuleGraph, selection: list[str]) -> list[str]:
    """The outermost adapters at, in or around the selection."""
    return [
        path for path in adapters(graph) if adapter_around(graph, path) is None and _near(path, selection)
    ]
