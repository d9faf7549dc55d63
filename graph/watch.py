"""The two modes a trace runs under: one sees functions, the other the operators they run."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from graph.macs import macs_of
from graph.recorder import Recorder


class Functions(TorchFunctionMode):
    """Reports functions called outside leaves; inside one it only passes through."""

    def __init__(self, recorder: Recorder) -> None:
        super().__init__()
        self.recorder = recorder

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        if self.recorder.current is not None:
            return func(*args, **kwargs)
        with self.recorder.watching((args, kwargs)) as watched:
            out = func(*args, **kwargs)
            self.recorder.function_call(name_of(func), out, watched)
        return out


class Operators(TorchDispatchMode):
    """Counts MACs for the current call and notes which tensors its operators touch.

    A leaf may be handed tensors it only asks for a dtype (rotary embeddings do): no operator
    touches them, so they are no data edge.
    """

    def __init__(self, recorder: Recorder) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.recorder = recorder

    def __torch_dispatch__(
        self,
        func: Any,
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        out = func(*args, **kwargs)
        watched = self.recorder.current
        if watched is not None:
            watched.macs += macs_of(func, args, kwargs, out)
            state = self.recorder.state
            for value in (*args, *kwargs.values()):
                for tensor in value if isinstance(value, list | tuple) else (value,):
                    if isinstance(tensor, torch.Tensor):
                        key = id(tensor)
                        watched.touched.add(key)
                        if key in state:
                            watched.state[key] = None
        return out


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
