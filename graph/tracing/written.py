"""Writes in place into tensors that are no fakes: they go into fakes that stand for them.

A forward may hold a tensor by ways that a shell doesn't see, such as a closure. Reads of it need no care:
a fake mode makes one fake of each tensor that it meets and keeps to it, and that is the one written into.
"""

from typing import Any

import torch
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode

_written: dict[Any, tuple[tuple[int, ...], tuple[str, ...]]] = {}


def into_fakes(
    operator: Any, mode: FakeTensorMode, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """The arguments of `operator` with a fake for each real tensor that it writes into.

    Raises what the mode raises for a tensor that has no fake: then nothing was written.
    """
    known = _written.get(operator)
    if known is None:
        known = _written[operator] = _written_by(operator)
    places, names = known
    if places:
        args = tuple(_fake(value, mode) if i in places else value for i, value in enumerate(args))
    if names and kwargs:
        kwargs = {name: _fake(value, mode) if name in names else value for name, value in kwargs.items()}
    return args, kwargs


def _fake(value: Any, mode: FakeTensorMode) -> Any:
    if isinstance(value, list | tuple):  # several at once, as an optimiser has them
        return type(value)(_fake(item, mode) for item in value)
    if not isinstance(value, torch.Tensor) or isinstance(value, FakeTensor):
        return value
    return mode.from_tensor(value)


def _written_by(operator: Any) -> tuple[tuple[int, ...], tuple[str, ...]]:
    """The places and the names of the arguments that `operator` writes into."""
    written = [
        (place, argument.name)
        for place, argument in enumerate(operator._schema.arguments)
        if argument.alias_info is not None and argument.alias_info.is_write
    ]
    return tuple(place for place, _ in written), tuple(name for _, name in written)
