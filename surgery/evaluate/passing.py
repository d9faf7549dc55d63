"""What goes into modules and comes out of them while a model runs, module by module, call by call."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from itertools import count
from typing import Any

import torch
from torch import Tensor, nn

from surgery.evaluate.data.examples import Batch
from surgery.evaluate.pooling import first_tensor
from surgery.precision import wide

Look = Callable[[str, Tensor, Tensor], None]
"""Is called with a path, what the module there was given, and what it gave."""


@contextmanager
def passes(model: nn.Module, paths: Iterable[str], look: Look) -> Iterator[None]:
    """Within, `look` is called for each call of the modules at `paths` that takes and gives tensors.

    A module that stands at several paths is taken to be called at one after another. What it was given is
    kept as it was, even where the module writes into it.
    """
    given: list[Tensor | None] = []
    handles = []
    for module, places in sites(model, paths).items():
        turn = count()

        def before(_: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            taken = first_given(args, kwargs)
            given.append(None if taken is None else taken.detach().clone())

        def after(
            _: nn.Module, args: Any, output: Any, places: list[str] = places, turn: Iterator[int] = turn
        ) -> None:
            taken, gave = given.pop(), first_tensor(output)
            path = places[next(turn) % len(places)]
            if taken is not None and gave is not None and gave.is_floating_point():
                look(path, taken, gave.detach())

        handles.append(module.register_forward_pre_hook(before, with_kwargs=True))
        handles.append(module.register_forward_hook(after))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def sites(model: nn.Module, paths: Iterable[str]) -> dict[nn.Module, list[str]]:
    """The modules at `paths`, each with all of these paths at which it stands."""
    found: dict[nn.Module, list[str]] = {}
    for path in paths:
        found.setdefault(model.get_submodule(path), []).append(path)
    return found


def first_given(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Tensor | None:
    """The first floating tensor that a module is called with."""
    for value in (*args, *kwargs.values()):
        if isinstance(value, Tensor) and value.is_floating_point():
            return value
    return None


def rows(states: Tensor, batch: Batch) -> Tensor:
    """Vectors (rows, width) float64: of real tokens, of the places of images, or of examples.

    `states` are (examples, tokens, width), (examples, channels, …) of images, or (examples, width).
    """
    found = wide(states)
    if found.dim() > 3:
        found = found.movedim(1, -1)
    elif found.dim() == 3:
        real = batch.real
        if real is not None and real.shape == found.shape[:2]:
            return found[real]
    return found.reshape(-1, found.shape[-1])


def last_rows(states: Tensor, batch: Batch) -> Tensor:
    """Vectors (examples, width) float64 of the last real token of each window; else all of `rows`."""
    real = batch.real
    if states.dim() != 3 or real is None or real.shape != states.shape[:2]:
        return rows(states, batch)
    places = real.shape[1] - 1 - real.flip(1).int().argmax(1)
    return wide(states[torch.arange(len(states), device=states.device), places])
