"""Modules that fake tensors can't run through: whether an error says so, and what stands in."""

import torch
from torch import nn

from graph.shell import NotShellable

# What fake tensors refuse though real ones would do; grouped products have a fake kernel for bf16 only.
_FAKE_ONLY = (
    "data pointer of",
    "numpy() is not supported for tensor subclasses",
    "Expected inputs of BF16 type",
)
# Packages whose layers keep weights packed, in kernels of their own.
_PACKED = ("auto_gptq", "awq", "bitsandbytes", "gptqmodel", "hqq", "optimum.quanto", "torch.ao.nn")


def why_unseen(error: Exception, module: nn.Module) -> str | None:
    """Why `module` couldn't be looked into, if that is what `error` means; None for a true failure."""
    kinds = torch._subclasses.fake_tensor
    first = str(error).partition("\n")[0]
    if isinstance(error, NotShellable):
        return error.reason
    if isinstance(error, kinds.DataDependentOutputException | kinds.DynamicOutputShapeException):
        return f"what it does depends on the values of tensors ({first})"
    if isinstance(error, kinds.UnsupportedOperatorException):
        return f"an operator of it has no fake kernel ({first})"
    if isinstance(error, kinds.UnsupportedFakeTensorException):
        return f"it holds a tensor that shapes alone cannot stand for ({first})"
    if isinstance(error, RuntimeError) and any(sign in str(error) for sign in _FAKE_ONLY):
        return f"it wants values and not only shapes ({first})"
    if type(module).__module__.startswith(_PACKED):
        return f"its packed weights run in a kernel that needs real ones ({type(error).__name__})"
    return None


def looks_like(module: nn.Module, given: list[torch.Tensor]) -> torch.Tensor:
    """A tensor like the first floating one given; as wide as `module` says if it is a linear map of it."""
    likely = next((tensor for tensor in given if tensor.is_floating_point()), given[0])
    wide, out = getattr(module, "in_features", None), getattr(module, "out_features", None)
    if likely.dim() and likely.shape[-1] == wide and isinstance(out, int):
        return likely.new_empty((*likely.shape[:-1], out))
    return torch.empty_like(likely)
