"""Models that accelerate has spread over devices: their forwards are wrapped to move what goes through them.

A shell that is run keeps the wraps; one that is only looked at goes without, since its tensors lie nowhere.
"""

import functools
import types

from torch import nn

_WRAPS = ("forward", "_old_forward", "_hf_hook")
_METHODS = ("to", "cuda", "npu", "xpu", "mlu", "sdaa", "musa")
"""Methods that `accelerate.dispatch_model` replaces on a model, to warn."""


def is_dispatched(module: nn.Module) -> bool:
    """Whether accelerate has wrapped the forward of `module`, and nothing else has."""
    held = module.__dict__
    plain, wrapped = held.get("_old_forward"), held.get("forward")
    return (
        "_hf_hook" in held
        and isinstance(wrapped, functools.partial)
        and wrapped.args == (module,)
        and isinstance(plain, types.MethodType)
        and plain.__self__ is module
        and plain.__func__ is type(module).forward
    )


def unwrapped_names(module: nn.Module) -> tuple[str, ...]:
    """The attributes of `module` that accelerate's wraps are made of; () for one that has none."""
    if "_hf_hook" not in module.__dict__ or not is_dispatched(module):
        return ()
    methods = (name for name in _METHODS if isinstance(module.__dict__.get(name), types.FunctionType))
    return (*_WRAPS, *methods)
