"""Sums over what layers are given, while the model runs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from surgery.calibration.batches import Shown
from surgery.calibration.layers import Layer, inputs_of
from surgery.errors import SurgeryError
from surgery.precision import wide


@dataclass(frozen=True, eq=False)
class Inputs:
    """What a layer was given: `tokens` vectors x of its `width` inputs; tensors float64 on the CPU.

    `squares` (width,) is Σ x², `gram` (width, width) is Σ x xᵀ, None where nobody asked for it. A token is
    a position: of a text one that is no padding, of an image what a convolution or a layer looks at.
    """

    tokens: int
    squares: Tensor
    gram: Tensor | None = None

    def tensors(self) -> tuple[Tensor, ...]:
        """Those it holds."""
        return (self.squares,) if self.gram is None else (self.squares, self.gram)


class Observer:
    """Adds up what the layers of a model are given; `batch` is what it is run on, None to look away."""

    def __init__(self, model: nn.Module, layers: Sequence[Layer], *, grams: bool) -> None:
        self.layers, self.grams = {layer.path: layer for layer in layers}, grams
        self.batch: Shown | None = None
        self._modules: dict[nn.Module, Layer] = {}
        for layer in layers:
            self._modules |= {model.get_submodule(place): layer for place in layer.places}
        self._sums: dict[str, tuple[Tensor, Tensor | None]] = {}
        self._tokens: dict[str, int] = {}
        self._last: tuple[Any, ...] | None = None

    @contextmanager
    def hooked(self) -> Iterator[None]:
        """Within, it sees what the layers are given."""
        handles = [
            module.register_forward_pre_hook(
                lambda module, args, kwargs, layer=layer: self._saw(module, layer, args, kwargs),
                with_kwargs=True,
            )
            for module, layer in self._modules.items()
        ]
        try:
            yield
        finally:
            self._last = None
            for handle in handles:
                handle.remove()

    def look(self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
        """Sees what a module is about to be given, if it is one of the layers; whether it is."""
        layer = self._modules.get(module)
        if layer is not None:
            self._saw(module, layer, args, kwargs)
        return layer is not None

    def found(self, path: str) -> Inputs:
        """What the layer was given, and its sums are let go of.

        SurgeryError where it was given nothing, or no numbers.
        """
        if path not in self._sums:
            raise SurgeryError(
                "the data never reach this layer",
                path=path,
                got="0 tokens",
                expected="1 or more",
                hint="more `samples`, or targets without it",
            )
        squares, gram = self._sums.pop(path)
        if not bool(torch.isfinite(squares).all()):
            raise SurgeryError("what the layer is given on these data are not numbers", path=path)
        return Inputs(
            self._tokens.pop(path), squares.cpu().double(), None if gram is None else gram.cpu().double()
        )

    def _saw(self, module: nn.Module, layer: Layer, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        given = args[0] if args else next(iter(kwargs.values()), None)
        if self.batch is None or not isinstance(given, Tensor):
            return
        count, squares, gram = self._of(module, layer, given.detach())
        if not count:
            return
        before = self._sums.get(layer.path)
        if before is None:
            self._sums[layer.path] = (squares.clone(), None if gram is None else gram.clone())
        else:
            before[0].add_(squares)
            if before[1] is not None and gram is not None:
                before[1].add_(gram)
        self._tokens[layer.path] = self._tokens.get(layer.path, 0) + count

    def _of(self, module: nn.Module, layer: Layer, given: Tensor) -> tuple[int, Tensor, Tensor | None]:
        """Tokens, squares and Gram of one input. Query, key and value get the same: it is summed once."""
        key = (given.data_ptr(), given.shape, given.stride(), given._version, id(self.batch))
        plain = layer.kind != "convolution"
        if plain and self._last is not None and self._last[0] == key:
            known: tuple[int, Tensor, Tensor | None] = self._last[2]
            return known
        assert self.batch is not None
        real = self.batch.real(layer.path, given.shape) if plain else None
        count, squares, gram = 0, None, None
        for rows in inputs_of(module, given):
            chosen = rows if real is None else rows[real.to(rows.device)]
            values = chosen if chosen.dtype == torch.float64 else chosen.float()
            count += len(values)
            energy = wide(values.square().sum(0))
            squares = energy if squares is None else squares + energy
            if self.grams:
                product = wide(values.t() @ values)
                gram = product if gram is None else gram + product
        assert squares is not None
        made = (count, squares, gram)
        self._last = (key, given, made)  # `given` is held, so that its address stays taken
        return made
