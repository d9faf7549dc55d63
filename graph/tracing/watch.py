"""The two modes a trace runs under: one sees functions, the other the operators they run."""

import functools
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from graph.tracing.functions import of_function
from graph.tracing.macs import macs_of
from graph.tracing.outcomes import shortly
from graph.tracing.recorder import Recorder, Watched
from graph.tracing.schemas import traits_of, written_by


class Functions(TorchFunctionMode):
    """Reports functions called outside leaves; inside one it only passes through."""

    def __init__(self, recorder: Recorder, mode: FakeTensorMode | None) -> None:
        super().__init__()
        self.recorder, self.mode = recorder, mode

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        if func in _GETTERS:
            return func(*args, **kwargs)
        if getattr(func, "__name__", "") in _BFLOAT16_ONLY:
            func = in_bfloat16(func)
        if self.recorder.current is not None:
            return func(*args, **kwargs)
        with self.recorder.watching((args, kwargs)) as watched:
            if func == _SET_DATA:  # no operator tells
                watched.wrote.append(args[0])
            if self.mode is None:
                out = func(*args, **kwargs)
            else:
                out = of_function(func, self.mode, args, kwargs, watched)
            self.recorder.function_call(name_of(func), out, watched)
        return out


class Operators(TorchDispatchMode):
    """Counts MACs for the current call and notes which tensors its operators touch.

    A leaf may be handed tensors it only asks for a dtype (rotary embeddings do): no operator
    touches them, so they are no data edge.
    """

    def __init__(self, recorder: Recorder, mode: FakeTensorMode | None) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.recorder, self.mode = recorder, mode

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # nobody compiles what is only traced, and the guard takes longer than the operator

    def __torch_dispatch__(
        self,
        func: Any,
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        with torch._C.DisableTorchFunction():  # what an operator does inside are no functions of the model
            if self.recorder.current is None and traits_of(func).writes:
                # By one of the few functions that report themselves to nobody, such as `set_`.
                with self.recorder.watching((args, kwargs)) as watched:
                    out = self.run(func, args, kwargs)
                    self.recorder.function_call(func.overloadpacket.__name__, out, watched)
                return out
            return self.run(func, args, kwargs)

    def run(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if self.mode is None:
            out = func(*args, **kwargs)
            macs = macs_of(func, args, kwargs, out)
        else:
            out, macs = shortly(func, self.mode, args, kwargs)
        if (watched := self.recorder.current) is not None:
            watched.macs += macs
            self.touch(watched, args)
            if kwargs:
                self.touch(watched, kwargs.values())
            if traits_of(func).writes:
                watched.wrote += written_by(func, args, kwargs)
        return out

    def touch(self, watched: Watched, values: Iterable[Any]) -> None:
        """Note the tensors among the arguments of an operator, and in lists of them."""
        state = self.recorder.state
        for value in values:
            for tensor in value if isinstance(value, list | tuple) else (value,):
                if isinstance(tensor, torch.Tensor):
                    key = id(tensor)
                    watched.touched[key] = None
                    if key in state:
                        watched.state[key] = None


# Most of what a forward asks of tensors, and nothing that makes one.
_GETTERS = frozenset(
    getattr(torch.Tensor, name).__get__
    for name in ("shape", "dtype", "device", "ndim", "is_cuda", "is_meta", "layout", "requires_grad")
) | frozenset(
    getattr(torch.Tensor, name)
    for name in ("size", "dim", "numel", "stride", "is_floating_point", "is_contiguous", "get_device")
)

_SET_DATA = torch.Tensor.data.__set__  # type: ignore[attr-defined]

# Their fake kernels know bfloat16 only, though real ones take float32 too.
_BFLOAT16_ONLY = frozenset({"_grouped_mm", "grouped_mm"})


def in_bfloat16(func: Callable[..., Any]) -> Callable[..., Any]:
    """`func` on fake tensors of any dtype: computed in bfloat16, its result in the dtype of the first."""

    def cast(value: Any) -> Any:
        if isinstance(value, FakeTensor) and value.is_floating_point():
            return value.to(torch.bfloat16)
        return value

    @functools.wraps(func)
    def called(first: Any, *args: Any, **kwargs: Any) -> Any:
        if not isinstance(first, FakeTensor) or first.dtype == torch.bfloat16:
            return func(first, *args, **kwargs)
        out = func(cast(first), *map(cast, args), **{name: cast(value) for name, value in kwargs.items()})
        return out.to(first.dtype)

    return called


_MIRRORED = {f"{side}{name}": name for side in "ri" for name in (
    "add", "sub", "mul", "div", "truediv", "floordiv", "matmul", "pow", "mod", "and", "or", "xor",
    "lshift", "rshift",
)}  # fmt: skip


def name_of(func: Callable[..., Any]) -> str:
    """The plain name of a function torch reports: `add` for `+`, `T` for the getter of `x.T`."""
    name = getattr(func, "__name__", type(func).__name__)
    if name in ("__get__", "__set__"):
        return str(getattr(getattr(func, "__self__", None), "__name__", "get"))
    if name.startswith("__") and name.endswith("__"):
        name = name.strip("_")
        return _MIRRORED.get(name, name)
    return str(name)
