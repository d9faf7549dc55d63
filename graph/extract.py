"""From a live module to a ModuleGraph."""

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from math import prod

from torch import nn

from graph.nodes import ModuleGraph, ModuleNode, ParameterNode, Tie
from graph.repeats import Attributes, attributes, structures
from graph.ties import tie_of_module, tie_of_tensor, ties
from graph.tracing import Inputs, Trace, trace
from graph.tracing.shared import uncollected
from graph.tree import Site, children, is_lazy, join, own_tensors, shape_of, sites, size_bytes, unwrapped


def extract(
    model: nn.Module,
    inputs: Inputs | None = None,
    *,
    origins: Mapping[nn.Module, str] | None = None,
    real: bool = False,
) -> ModuleGraph:
    """The graph of `model`: its tree and ties and, given example `inputs`, its calls and edges.

    `inputs` are keyword arguments, a tuple of positional ones, or one tensor; only their shapes
    and dtypes matter. Parameters may be on meta. `origins` gives the immutable id of a module
    object; by default its path. The model is not touched and runs on fake tensors only: where that
    takes a guess (see `ModuleNode.opaque`), `real` runs a shell of it on clones of its weights and of
    `inputs` instead. A forward that raises leaves a graph up to there with `problem` set, and a model or
    inputs that cannot be run so one without calls.
    """
    with nullcontext() if real else uncollected.at_least(True):
        return _extracted(unwrapped(model), inputs, origins or {}, real)


def _extracted(
    model: nn.Module, inputs: Inputs | None, origins: Mapping[nn.Module, str], real: bool
) -> ModuleGraph:
    places = sites(model)
    described = {module: attributes(module) for module in dict.fromkeys([site[1] for site in places])}
    alike = structures(model, described, places)
    seen = Trace() if inputs is None else trace(model, inputs, real=real, alike=alike)
    tied = ties(model, places)
    return ModuleGraph(
        class_name=type(model).__name__,
        modules=_modules(places, tied, seen, origins, described, alike),
        calls=seen.calls,
        edges=seen.edges,
        ties=tied,
        problem=seen.problem,
        tokens=seen.tokens,
        unit=seen.unit,
        inputs=seen.inputs,
        spans=seen.spans,
    )


def _modules(
    places: Sequence[Site],
    tied: tuple[Tie, ...],
    seen: Trace,
    origins: Mapping[nn.Module, str],
    described: Mapping[nn.Module, Attributes],
    alike: Mapping[nn.Module, str],
) -> tuple[ModuleNode, ...]:
    of_tensor, of_module = tie_of_tensor(tied), tie_of_module(tied)
    inherited: dict[str, int | None] = {}
    nodes = []
    for path, module, around, _ in places:
        # Tensors inside a reused module are shared too, though the tie lists only the module.
        tie = of_module.get(path)
        inherited[path] = tie if tie is not None or not path else inherited[around]
        tensors = []
        for name, tensor, kind in own_tensors(module):
            place = join(path, name)
            shape = seen.shapes.get(place, shape_of(tensor))
            size = prod(shape) * tensor.dtype.itemsize if is_lazy(tensor) else size_bytes(tensor)
            dtype = str(tensor.dtype).removeprefix("torch.")
            index = of_tensor.get(place, inherited[path])
            tensors.append(ParameterNode(place, shape, dtype, size, kind, index))
        nodes.append(
            ModuleNode(
                path=path,
                class_name=type(module).__name__,
                origin=origins.get(module, path),
                children=tuple(name for name, _ in children(module)),
                tensors=tuple(tensors),
                attributes=described[module],
                structure=alike[module],
                container=isinstance(module, nn.ModuleList | nn.Sequential | nn.ModuleDict),
                opaque=seen.opaque.get(path),
                tie=tie,
            )
        )
    return tuple(nodes)
