"""From a live module to a ModuleGraph."""

from collections.abc import Mapping

from torch import nn

from graph.nodes import ModuleGraph, ModuleNode, ParameterNode, Tie
from graph.repeats import attributes, structure
from graph.ties import tie_of_module, tie_of_tensor, ties
from graph.trace import Inputs, Trace, trace
from graph.tree import join, own_tensors, walk

_EMPTY = Trace((), (), (), {}, None, 1)


def extract(
    model: nn.Module, inputs: Inputs | None = None, *, origins: Mapping[nn.Module, str] | None = None
) -> ModuleGraph:
    """The graph of `model`: its tree and ties and, given example `inputs`, its calls and edges.

    `inputs` are keyword arguments, a tuple of positional ones, or one tensor; only their shapes
    and dtypes matter. Parameters may be on meta. `origins` gives the immutable id of a module
    object; by default its path. The model is not touched and runs on fake tensors only. A forward
    that raises leaves a graph up to there with `problem` set. Raises NotShellable for scripted or
    patched modules when there are inputs.
    """
    seen = _EMPTY if inputs is None else trace(model, inputs)
    tied = ties(model)
    return ModuleGraph(
        class_name=type(model).__name__,
        modules=_modules(model, tied, seen.opaque, origins or {}),
        calls=seen.calls,
        edges=seen.edges,
        ties=tied,
        problem=seen.problem,
        tokens=seen.tokens,
        spans=seen.spans,
    )


def _modules(
    model: nn.Module, tied: tuple[Tie, ...], opaque: Mapping[str, str], origins: Mapping[nn.Module, str]
) -> tuple[ModuleNode, ...]:
    of_tensor, of_module = tie_of_tensor(tied), tie_of_module(tied)
    inherited: dict[str, int | None] = {}
    known: dict[nn.Module, str] = {}
    nodes = []
    for path, module in walk(model):
        # Tensors inside a reused module are shared too, though the tie lists only the module.
        tie = of_module.get(path)
        inherited[path] = tie if tie is not None or not path else inherited[path.rpartition(".")[0]]
        tensors = []
        for name, tensor, kind in own_tensors(module):
            place = join(path, name)
            size = tensor.numel() * tensor.element_size()
            dtype = str(tensor.dtype).removeprefix("torch.")
            index = of_tensor.get(place, inherited[path])
            tensors.append(ParameterNode(place, tuple(tensor.shape), dtype, size, kind, index))
        nodes.append(
            ModuleNode(
                path=path,
                class_name=type(module).__name__,
                origin=origins.get(module, path),
                children=tuple(name for name, child in module._modules.items() if child is not None),
                tensors=tuple(tensors),
                attributes=attributes(module),
                structure=structure(module, known),
                container=isinstance(module, nn.ModuleList | nn.Sequential | nn.ModuleDict),
                opaque=opaque.get(path),
                tie=tie,
            )
        )
    return tuple(nodes)
