"""From a live module to a ModuleGraph."""

from collections.abc import Container, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from functools import cache
from math import prod

import torch
from torch import nn

from graph.known import Known
from graph.layouts import layout_of
from graph.nodes import ModuleGraph, ModuleNode, ParameterNode, Tie
from graph.records import maker_of
from graph.repeats import Attributes, attributes, structures
from graph.shell import Shell
from graph.ties import tie_of_module, tie_of_tensor, ties
from graph.tracing import Inputs, Trace, trace
from graph.tracing.shared import uncollected
from graph.tree import Facts, Site, sites, tensor_facts, unwrapped

_module, _tensor = maker_of(ModuleNode), maker_of(ParameterNode)
_CONTAINERS = (nn.ModuleList, nn.Sequential, nn.ModuleDict)


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
        return _extracted(unwrapped(model), inputs, origins or {}, real, ())


def extract_spent(
    spent: Shell, inputs: Inputs | None = None, *, origins: Mapping[nn.Module, str] | None = None
) -> ModuleGraph:
    """The graph of a shell that is thrown away, as `extract` gives it in more time.

    The very modules that were made with the shell are run, and have nothing in them afterwards, nor can they
    be called. What came into the shell later is left as it is. TypeError for anything but a Shell: a model
    by itself may be somebody's.
    """
    if not isinstance(spent, Shell):
        raise TypeError(f"only a Shell can be used up, not a {type(spent).__name__}")
    with uncollected.at_least(True):
        return _extracted(spent.model, inputs, origins or {}, False, spent.source_of.keys(), spent.now)


def _extracted(
    model: nn.Module,
    inputs: Inputs | None,
    origins: Mapping[nn.Module, str],
    real: bool,
    spent: Container[nn.Module],
    known: Known | None = None,
) -> ModuleGraph:
    known = Known(sites(model), {}) if known is None else known
    places, said = known.places, known.layouts.get
    each = dict.fromkeys([site[1] for site in places])
    layouts = {module: said(module) or layout_of(module) for module in each}
    described = {module: attributes(module, layout) for module, layout in layouts.items()}
    held = {module: tensor_facts(module) for module in each}
    alike = structures(model, described, places, held)
    tied = ties(model, places)
    modules = _modules(places, tied, origins, described, alike, held)  # before a trace that may use them up
    seen = (
        Trace()
        if inputs is None
        else trace(model, inputs, real=real, alike=alike, spent=spent, places=places, layouts=layouts)
    )
    return ModuleGraph(
        class_name=type(model).__name__,
        modules=_with_what_was_seen(modules, seen),
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
    origins: Mapping[nn.Module, str],
    described: Mapping[nn.Module, Attributes],
    alike: Mapping[nn.Module, str],
    facts: Mapping[nn.Module, Sequence[Facts]],
) -> tuple[ModuleNode, ...]:
    of_tensor, of_module = tie_of_tensor(tied), tie_of_module(tied)
    inherited: dict[str, int | None] = {}
    nodes = []
    for path, module, around, _ in places:
        # Tensors inside a reused module are shared too, though the tie lists only the module.
        tie = of_module.get(path)
        within = inherited[path] = tie if tie is not None or not path else inherited[around]
        prefix, held = f"{path}." if path else "", module._modules
        tensors = []
        for kind, name, shape, dtype, size in facts[module]:
            place = prefix + name
            tensors.append(_tensor(place, shape, _name_of(dtype), size, kind, of_tensor.get(place, within)))
        nodes.append(
            _module(
                path,
                type(module).__name__,
                origins.get(module, path),
                tuple([name for name, child in held.items() if child is not None]) if held else (),
                tuple(tensors),
                described[module],
                alike[module],
                isinstance(module, _CONTAINERS),
                None,
                tie,
            )
        )
    return tuple(nodes)


def _with_what_was_seen(modules: tuple[ModuleNode, ...], seen: Trace) -> tuple[ModuleNode, ...]:
    """The nodes with what only a trace finds out: which are opaque, and the shapes of lazy tensors."""
    if not seen.opaque and not seen.shapes:
        return modules
    return tuple(
        replace(
            node,
            opaque=seen.opaque.get(node.path),
            tensors=tuple(_shaped(tensor, seen.shapes) for tensor in node.tensors),
        )
        for node in modules
    )


def _shaped(tensor: ParameterNode, shapes: Mapping[str, tuple[int, ...]]) -> ParameterNode:
    shape = shapes.get(tensor.path)
    if shape is None:
        return tensor
    dtype: torch.dtype = getattr(torch, tensor.dtype)
    return replace(tensor, shape=shape, size_bytes=prod(shape) * dtype.itemsize)


@cache
def _name_of(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
