"""How a running evaluation is stopped."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from torch import nn


class Stopped(Exception):
    """The evaluation was stopped on request; there is no result."""


def checker(stop: threading.Event | None) -> Callable[[], None]:
    """A function that raises Stopped once `stop` is set."""

    def check() -> None:
        if stop is not None and stop.is_set():
            raise Stopped("the evaluation was stopped")

    return check


@contextmanager
def checked(model: nn.Module, check: Callable[[], None]) -> Iterator[None]:
    """Within, `check` is called before each block of the model, so that a slow forward can be stopped."""
    lists = [module for module in model.modules() if isinstance(module, nn.ModuleList | nn.Sequential)]
    blocks = dict.fromkeys(child for module in lists for child in module.children())
    handles = [block.register_forward_pre_hook(lambda *_: check()) for block in blocks]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
