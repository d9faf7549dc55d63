"""Functions of torch outside leaves run once per kind: what one returned is remembered, views included."""

from typing import Any

import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from graph.tracing.outcomes import known_outcomes, made_from, outcome_of, remember, say
from graph.tracing.recorder import Watched
from graph.tracing.storages import storage_of

_BY_OFFSET = frozenset({torch.as_strided, torch.Tensor.as_strided})  # theirs counts from the storage's start


def of_function(
    func: Any, mode: FakeTensorMode, args: tuple[Any, ...], kwargs: dict[str, Any], watched: Watched
) -> Any:
    """`func(*args, **kwargs)`, or tensors like those it returned before for arguments of the same kind."""
    key = None
    if _is_torchs(func):
        with torch._C.DisableTorchFunction():
            key = _key(func, mode, args, kwargs, watched.given)
    if key is None:
        return func(*args, **kwargs)
    known = known_outcomes.get(key)
    if known is not None:
        watched.macs = known[2]
        with torch._C.DisableTorchFunction():
            return made_from(known, mode, watched.given)
    out = func(*args, **kwargs)
    if key not in known_outcomes:
        with torch._C.DisableTorchFunction():
            # That a function writes, or returns a number, is remembered too.
            remember(key, None if watched.wrote else outcome_of(out, watched.macs, watched.given))
    return out


def surroundings() -> tuple[Any, ...] | None:
    """What a function does hangs on these too, and a forward may change them on its way.

    None while gradients are recorded: what is remembered has no way back to what it was made from.
    """
    if torch.is_grad_enabled():
        return None
    return (
        torch.is_inference_mode_enabled(),
        torch.is_autocast_enabled("cpu"),
        torch.get_autocast_dtype("cpu"),
        torch.get_default_dtype(),
        torch._C._len_torch_function_stack(),
        torch._C._len_torch_dispatch_stack(),
    )


def together(given: list[torch.Tensor]) -> list[int]:
    """Which of several tensors are the same one, and which lie over one memory, and where in it."""
    if len(given) < 2:
        return []
    ids, storages = [id(tensor) for tensor in given], [storage_of(tensor) for tensor in given]
    said = list(map(ids.index, ids))
    for tensor, storage in zip(given, storages, strict=True):
        said.append(storages.index(storage))
        if storages.count(storage) > 1:
            said.append(int(tensor.storage_offset()))
    return said


def _is_torchs(func: Any) -> bool:
    """Whether `func` is of torch, or a method or getter of its tensors, which have no module."""
    module = getattr(func, "__module__", None)
    if func in _BY_OFFSET:
        return False
    return module is None or module.partition(".")[0] in ("torch", "_operator")


def _key(
    func: Any, mode: FakeTensorMode, args: tuple[Any, ...], kwargs: dict[str, Any], given: list[torch.Tensor]
) -> Any:
    """What the outcome of a function hangs on; None if it may hang on more, such as a value."""
    around = surroundings()
    if around is None:
        return None
    said: list[Any] = [func, around]
    known: list[bool] = []
    if not say(args, mode, said, known):
        return None
    if kwargs:
        said.append(tuple(kwargs))
        if not say(kwargs.values(), mode, said, known):
            return None
    if any(known) or not known:
        return None
    said += together(given)
    return tuple(said)
