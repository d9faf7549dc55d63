"""Walking a live module tree: every path, reused modules at each of their places.

Nothing here recurses, so the depth of a tree has no limit. A compiled wrapper (`torch.compile(module)`)
is seen as the module it wraps: it adds no path.
"""

from collections.abc import Container, Iterator, Sequence
from typing import Literal, cast

import torch
from torch import nn
from torch.nn.parameter import UninitializedBuffer, UninitializedParameter

Kind = Literal["parameter", "buffer"]

_PLAIN = (nn.Parameter, torch.Tensor)
_LAZY = frozenset({UninitializedParameter, UninitializedBuffer})


def join(parent: str, name: str) -> str:
    """The dotted path of child `name` of `parent`; the root is the empty path."""
    return f"{parent}.{name}" if parent else name


def unwrapped(module: nn.Module) -> nn.Module:
    """The module itself: what `torch.compile` wrapped, if `module` is such a wrapper."""
    # By name, for the class lies in a package that takes a second to import.
    while type(module).__name__ == "OptimizedModule" and "_orig_mod" in module._modules:
        module = cast(nn.Module, module._modules["_orig_mod"])
    return module


def children(module: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """(name, child) in order of registration, without empty slots, compiled ones unwrapped."""
    for name, child in module._modules.items():
        if child is not None:
            yield name, unwrapped(child)


def walk(model: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """Every (path, module) of the tree, parents first, children in order of registration.

    Unlike `named_modules`, a reused module appears at each of its paths, and a module that holds
    one of its own ancestors doesn't recurse forever: the ancestor isn't entered again.
    """
    for path, module, _, _ in sites(model):
        yield path, module


Site = tuple[str, nn.Module, str, nn.Module]


def sites(model: nn.Module) -> list[Site]:
    """What `walk` gives, each with the path of the module around it and that module; the root with itself.

    A path doesn't tell that of its parent: the name of a child may hold a dot.
    """
    model = unwrapped(model)
    above = {id(model)}
    found: list[Site] = [("", model, "", model)]
    add = found.append
    open_ = [("", "", model, iter(model._modules.items()))]
    while open_:
        path, prefix, module, rest = open_[-1]
        for name, child in rest:
            if child is None:
                continue
            if not child._modules:  # most: such a one wraps nothing, and is no ancestor
                add((prefix + name, child, path, module))
                continue
            if type(child).__name__ == "OptimizedModule":  # asked here: most children are none
                child = unwrapped(child)
            if id(child) in above:
                continue
            place = prefix + name
            add((place, child, path, module))
            if child._modules:
                above.add(id(child))
                open_.append((place, f"{place}." if place else "", child, iter(child._modules.items())))
                break
        else:
            above.discard(id(module))
            open_.pop()
    return found


def module_at(model: nn.Module, path: str) -> nn.Module:
    """What `model.get_submodule(path)` gives or raises, in a tenth of the time."""
    module = model
    try:
        for name in path.split(".") if path else ():
            module = module._modules[name]  # type: ignore[assignment]  # None has no modules either
    except (AttributeError, KeyError):
        return model.get_submodule(path)
    return model.get_submodule(path) if module is None else module


def bottom_up(
    model: nn.Module, known: Container[nn.Module] = (), places: Sequence[Site] | None = None
) -> list[nn.Module]:
    """The modules of the tree that aren't `known` yet, each once, what lies below a module before it.

    `places` are the sites of the model, if they are known.
    """
    if model in known:
        return []
    order = dict.fromkeys([site[1] for site in reversed(sites(model) if places is None else places)])
    return [module for module in order if module not in known]


def own_tensors(module: nn.Module) -> Iterator[tuple[str, torch.Tensor, Kind]]:
    """(name, tensor, kind) of the parameters and buffers `module` itself holds, parameters first."""
    for name, parameter in module._parameters.items():
        if parameter is not None:
            yield name, parameter, "parameter"
    for name, buffer in module._buffers.items():
        if buffer is not None:
            yield name, buffer, "buffer"


Facts = tuple[Kind, str, tuple[int, ...], torch.dtype, int]
"""Kind and name of a tensor, its shape, dtype and size in bytes."""


def tensor_facts(module: nn.Module) -> list[Facts]:
    """What there is to say of the tensors that `module` itself holds, parameters first."""
    if not (module._parameters or module._buffers):  # most
        return []
    return [
        (kind, name, shape_of(tensor), tensor.dtype, size_bytes(tensor))
        for name, tensor, kind in own_tensors(module)
    ]


def is_lazy(tensor: torch.Tensor) -> bool:
    """Whether `tensor` has no shape until its module is called for the first time (`nn.LazyLinear`)."""
    return type(tensor) in _LAZY


def has_no_shape(module: nn.Module) -> bool:
    """Whether a parameter or buffer of `module` itself is lazy."""
    for tensors in (module._parameters, module._buffers):
        for tensor in tensors.values() if tensors else ():
            if type(tensor) in _LAZY:
                return True
    return False


def shape_of(tensor: torch.Tensor) -> tuple[int, ...]:
    """The shape; (0,) for a lazy tensor, which holds no element yet; of a nested one how many it nests."""
    if tensor.is_nested:
        return (tensor.size(0),)
    return tuple(tensor.shape) if type(tensor) in _PLAIN or not is_lazy(tensor) else (0,)


def size_bytes(tensor: torch.Tensor) -> int:
    """Bytes the elements take; of a quantised or otherwise wrapped tensor, those of what it wraps."""
    if type(tensor) in _PLAIN:  # to ask it for what it has not takes as long as the rest
        return tensor.numel() * tensor.element_size()
    if is_lazy(tensor):
        return 0
    if hasattr(tensor, "__tensor_flatten__"):
        inner, _ = tensor.__tensor_flatten__()
        return sum(size_bytes(getattr(tensor, name)) for name in inner)
    return tensor.numel() * tensor.element_size()
