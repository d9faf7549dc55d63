"""Large copies that are made beside what the caller does next.

A parameter of its own, with another's values, is there at once: it shares their memory until the copy is
made, by one thread in the background. `settled` waits for that. A session does so before it hands out its
model, saves or hashes, so nobody can write one of the two and change the other.
"""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from functools import cache
from threading import Lock

import torch
from torch import nn

from graph.ties import BEING_COPIED

AT_ONCE_BYTES = 1 << 20
"""What is smaller is copied without a thread."""

_under_way: set[Future[None]] = set()
_lock = Lock()


def copy_of(source: nn.Parameter, *, trainable: bool) -> nn.Parameter:
    """A parameter with the values of `source`, contiguous and soon in storage of its own."""
    values = source.detach()
    if values.device.type != "cpu" or values.nbytes <= AT_ONCE_BYTES:
        return nn.Parameter(_copied(values), requires_grad=trainable)
    made = nn.Parameter(values, requires_grad=trainable)
    setattr(made, BEING_COPIED, True)
    with _lock:
        work = _thread().submit(_move, made, values)
        _under_way.add(work)
    work.add_done_callback(_over)
    return made


def settled() -> None:
    """Returns once no copy is under way; raises what a copy raised."""
    with _lock:
        waiting = list(_under_way)
    for work in waiting:
        work.result()


@cache
def _thread() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(1, thread_name_prefix="surgery-copies")


def _move(made: nn.Parameter, values: torch.Tensor) -> None:
    made.data = _copied(values)
    delattr(made, BEING_COPIED)


def _copied(values: torch.Tensor) -> torch.Tensor:
    return values.clone(memory_format=torch.contiguous_format)


def _over(work: Future[None]) -> None:
    if not work.exception():  # a copy that failed is told to whoever waits for it
        with _lock:
            _under_way.discard(work)
