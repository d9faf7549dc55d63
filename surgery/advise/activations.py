"""What activation functions give, module or function, block by block."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import count
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules import activation
from torch.utils._python_dispatch import TorchDispatchMode

from surgery.evaluate.passing import sites

aten = torch.ops.aten
FUNCTIONS = (
    *(aten.relu, aten.relu_, aten.gelu, aten.gelu_, aten.silu, aten.silu_, aten.leaky_relu, aten.leaky_relu_),
    *(aten.elu, aten.elu_, aten.hardtanh, aten.hardtanh_, aten.hardswish, aten.hardswish_),
    *(aten.mish, aten.mish_, aten.relu6, aten.softplus),
)
"""Activation functions as torch computes them; a SwiGLU's gate is among them by its silu."""

NO_ACTIVATIONS = (nn.MultiheadAttention, nn.Softmax, nn.Softmax2d, nn.LogSoftmax, nn.Softmin)
Heard = Callable[[str, Tensor], None]


@contextmanager
def activations(model: nn.Module, paths: Iterable[str], heard: Heard) -> Iterator[None]:
    """Within, `heard` is called with a path and what each activation function inside it gives.

    Of paths within one another each is told. A module made of several functions, such as the GELU of GPT-2,
    counts as one.
    """
    inside: list[str] = []
    whole: list[nn.Module] = []
    handles = []

    def told(value: Any) -> None:
        if isinstance(value, Tensor) and value.is_floating_point():
            for path in inside:
                heard(path, value.detach())

    for module, places in sites(model, paths).items():
        turn = count()

        def enter(_: Any, args: Any, places: list[str] = places, turn: Iterator[int] = turn) -> None:
            inside.append(places[next(turn) % len(places)])

        handles.append(module.register_forward_pre_hook(enter))
    for module in model.modules():
        if is_activation(module):
            handles.append(module.register_forward_pre_hook(lambda module, _: whole.append(module)))

            def gave(_: Any, args: Any, output: Any) -> None:
                whole.pop()
                if not whole:
                    told(output)

            handles.append(module.register_forward_hook(gave))

    def leave(*_: Any) -> None:
        inside.pop()

    handles += [module.register_forward_hook(leave) for module in sites(model, paths)]

    class Listening(TorchDispatchMode):
        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            output = func(*args, **(kwargs or {}))
            if inside and not whole and func.overloadpacket in FUNCTIONS:
                told(output)
            return output

    try:
        with Listening():  # type: ignore[no-untyped-call]
            yield
    finally:
        for handle in handles:
            handle.remove()


def is_activation(module: nn.Module) -> bool:
    """Whether it is an activation function as a module, of torch or of transformers."""
    home = type(module).__module__
    return (home == activation.__name__ and not isinstance(module, NO_ACTIVATIONS)) or (
        home == "transformers.activations"
    )
