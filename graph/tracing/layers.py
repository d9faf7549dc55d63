"""Layers of torch itself run once per kind: what one did is remembered, over all traces of a process.

Such a layer does the same wherever its attributes, the layouts of its tensors and those of its arguments
are the same, and so are the modes around it, which can be said of torch's own classes and of no others.
"""

from dataclasses import dataclass
from types import BuiltinFunctionType, FunctionType
from typing import Any
from weakref import ProxyTypes

import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode

from graph.tracing.fakes import empty_fake
from graph.tracing.functions import surroundings, together
from graph.tracing.keys import BARE, Unsayable
from graph.tracing.outcomes import is_plain, say
from graph.tracing.recorder import Recorder, Watched
from graph.tracing.storages import storage_of
from graph.tree import join, walk

MOST = 10_000
"""So many runs are remembered; then all are forgotten."""

_PLAIN = frozenset({bool, int, float, str, type(None), torch.dtype})


@dataclass(frozen=True, slots=True)
class _Done:
    """What a layer did: MACs, the arguments it touched, by place, and the tensors of its own that it read."""

    macs: int
    touched: tuple[int, ...]
    reads: tuple[str, ...]
    out: Any


_runs: dict[Any, _Done] = {}


class Layers:
    """Remembers layers of one trace, and makes what they return."""

    def __init__(self, recorder: Recorder, mode: FakeTensorMode) -> None:
        self.recorder, self.mode = recorder, mode

    def key(self, module: nn.Module, forward: Any, args: Any, kwargs: Any, watched: Watched) -> Any:
        """What a call of `module` hangs on; None if it isn't a layer of torch, or hangs on more."""
        cls = type(module)
        own = forward.__func__ is cls.forward and forward.__self__ is module
        around = surroundings()
        if around is None or not own or not cls.__module__.startswith("torch.nn.modules."):
            return None
        said: list[Any] = [cls, cls.forward, around, len(args), *kwargs]
        # Values of arguments that are known make no difference: what a layer returns has the same shape.
        if not say(args, self.mode, said, []) or (kwargs and not say(kwargs.values(), self.mode, said, [])):
            return None
        if any(id(tensor) in self.recorder.state for tensor in watched.given):
            return None
        said += together(watched.given)
        shared: dict[int, int] = {}
        try:
            for path, below in walk(module) if module._modules else (("", module),):
                self.describe(path, below, said, shared)
        except Unsayable:
            return None
        return tuple(said)

    def describe(self, path: str, module: nn.Module, said: list[Any], shared: dict[int, int]) -> None:
        said += path, module.training
        for tensors in (module._parameters, module._buffers):
            for name, tensor in tensors.items():
                said.append(name)
                if tensor is not None:
                    if type(tensor) is not FakeTensor or not is_plain(tensor):
                        raise Unsayable
                    if id(tensor) not in self.recorder.state:  # it came during the forward
                        raise Unsayable
                    said += tensor.shape, tensor.stride(), tensor.dtype
                    if len(self.recorder.state[id(tensor)][1]) > 1:  # perhaps at two paths of this layer
                        said.append(shared.setdefault(id(tensor), len(shared)))
        for name, value in module.__dict__.items():
            if name in BARE or name == "forward" or name.startswith("_flat_weight"):
                continue  # a recurrent layer lists its parameters once more
            said += name, type(value), _word(value)

    def learn(self, key: Any, module: nn.Module, out: Any, watched: Watched) -> None:
        """Remember a true run, unless it did more than to make new tensors of its arguments."""
        names = {
            id(tensor): join(path, name)
            for path, below in walk(module)
            for tensors in (below._parameters, below._buffers)
            for name, tensor in tensors.items()
        }
        touched = watched.touched
        reads = [key for key in touched if key in self.recorder.state]
        if watched.wrote or self.recorder.unasked(watched) or not names.keys() >= set(reads):
            return
        theirs = {storage_of(tensor) for tensor in watched.given}
        try:
            made = self.template(out, theirs)
        except Unsayable:
            return
        if len(_runs) >= MOST:
            _runs.clear()
        places = tuple(place for place, tensor in enumerate(watched.given) if id(tensor) in touched)
        _runs[key] = _Done(watched.macs, places, tuple(names[read] for read in reads), made)

    def template(self, out: Any, theirs: set[int]) -> Any:
        """The output with each tensor as its layout; `theirs` are storages that it may not lie over."""
        if isinstance(out, FakeTensor):
            storage = storage_of(out)
            if storage in theirs or out.constant is not None or not is_plain(out):
                raise Unsayable
            theirs.add(storage)
            return tuple(out.shape), out.stride(), out.dtype
        if out is None:
            return None
        if type(out) in (list, tuple):
            return type(out), [self.template(item, theirs) for item in out]
        raise Unsayable

    def again(self, key: Any, module: nn.Module, watched: Watched) -> tuple[Any] | None:
        """What a layer with this key returns, in a tuple, and `watched` as if it had run; None if unknown."""
        run = _runs.get(key)
        if run is None:
            return None
        watched.macs = run.macs
        watched.touched.update((id(watched.given[place]), None) for place in run.touched)
        for name in run.reads:
            tensor = id(_tensor(module, name))
            watched.touched[tensor] = watched.state[tensor] = None
        with torch._C.DisableTorchFunction(), torch._C._DisableTorchDispatch():
            return (self.made(run.out),)

    def made(self, template: Any) -> Any:
        if template is None:
            return None
        if isinstance(template[0], type):
            return template[0](map(self.made, template[1]))
        shape, strides, dtype = template
        return empty_fake(shape, strides, dtype, self.mode)


def _word(value: Any) -> Any:
    """An attribute by value; a function by itself, if it is there for as long as the process."""
    if type(value) in _PLAIN:
        return value
    if type(value) in ProxyTypes:
        raise Unsayable
    if isinstance(value, list | tuple):
        return tuple((type(item), _word(item)) for item in value)
    if isinstance(value, FunctionType | BuiltinFunctionType) and "<" not in value.__qualname__:
        return value
    raise Unsayable


def _tensor(module: nn.Module, name: str) -> torch.Tensor | None:
    path, _, name = name.rpartition(".")
    holder = module.get_submodule(path) if path else module
    found = holder._parameters.get(name)
    return holder._buffers.get(name) if found is None else found
