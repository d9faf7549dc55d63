"""Short ways for operators on fake tensors, where a fake tensor mode takes many times as long.

What an operator returns that makes fresh tensors, or writes into its first argument, is remembered by the
shapes, strides, dtypes and numbers it was given. Plain views are made by their meta kernels. What knows
nothing but values goes the long way. `functions` remembers in the same words.
"""

from collections.abc import Iterable, Sequence
from typing import Any, cast

import torch
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode

from graph.tracing.dtypes import refuse_mixed
from graph.tracing.fakes import empty_fake, wrapped
from graph.tracing.macs import macs_of
from graph.tracing.norms import at_rest
from graph.tracing.schemas import INDEX, traits_of
from graph.tracing.storages import storage_of
from graph.tracing.written import into_fakes

MOST = 50_000
"""So many outcomes are remembered; then all are forgotten."""

LONGEST = 256
"""Items of a list of arguments up to which it is kept as part of what is remembered."""

_PLAIN = frozenset(
    {bool, int, float, complex, str, type(None), type(...)}
    | {torch.dtype, torch.device, torch.layout, torch.memory_format}
)
_MASKS = (torch.bool, torch.uint8)
_CPU = torch.device("cpu")
_DEVICE = torch.ops.prim.device.default
Sizes = tuple[int, ...]
Kind = tuple[Sizes, Sizes, torch.dtype, int, int]
"""Shape, strides and dtype of a tensor that comes back; the place of the tensor given that it is a view of
(-1: of none), and how far into it it begins."""
Outcome = tuple[type | None, tuple[Kind, ...], int]
"""The form of what comes back (None: the first argument itself), its tensors, and the MACs."""

known_outcomes: dict[Any, Outcome | None] = {}


def shortly(
    operator: Any, mode: FakeTensorMode, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[Any, int]:
    """`operator(*args, **kwargs)` under `mode`, or tensors like those it returns; and its MACs."""
    if operator is _DEVICE and type(args[0]) is FakeTensor:
        return args[0].fake_device, 0
    traits = traits_of(operator)
    remembered = traits.fresh or traits.in_place
    key = _key(operator, mode, args, kwargs) if remembered or traits.view else None
    if key is None:
        if traits.writes:
            args, kwargs = into_fakes(traits, mode, args, kwargs)
        refuse_mixed(operator, args, kwargs)
        out = operator(*args, **kwargs)
        return out, macs_of(operator, args, kwargs, out)
    if not remembered:
        return _viewed(operator, mode, args, kwargs), 0
    known = known_outcomes.get(key)
    if known is not None:
        return args[0] if known[0] is None else made_from(known, mode, ()), known[2]
    refuse_mixed(operator, args, kwargs)
    if (kinds := at_rest(operator, args, kwargs)) is not None:
        plain: Outcome = tuple, tuple((*kind, -1, 0) for kind in kinds), 0
        remember(key, plain)
        return made_from(plain, mode, ()), 0
    out = operator(*args, **kwargs)
    macs = macs_of(operator, args, kwargs, out)
    if traits.in_place:
        stays = out is args[0] and _key(operator, mode, args, kwargs) == key
        outcome: Outcome | None = (None, (), macs) if stays else None
    else:
        outcome = outcome_of(out, macs, None)
    if outcome is not None:
        remember(key, outcome)
    return out, macs


def remember(key: Any, outcome: Outcome | None) -> None:
    """Keep an outcome, or that there is none to keep."""
    if len(known_outcomes) >= MOST:
        known_outcomes.clear()
    known_outcomes[key] = outcome


def _viewed(operator: Any, mode: FakeTensorMode, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    with torch._C._DisableTorchDispatch(), torch._C._PreserveDispatchKeyGuard():  # as the mode itself does
        torch._C._set_meta_in_tls_dispatch_include(True)
        mode.in_kernel_invocation = True
        try:
            out = operator(*args, **kwargs)
        finally:
            mode.in_kernel_invocation = False
    if type(out) in (list, tuple):
        return type(out)(wrapped(view, mode) for view in out)
    return wrapped(out, mode)


def _key(operator: Any, mode: FakeTensorMode, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """What the outcome hangs on; None if it may hang on more, such as a value or another device.

    Of known values alone an operator computes known values. Beside a tensor of unknown ones they are
    no more than shapes, except where a mask says how many elements go through.
    """
    said: list[Any] = [operator, torch.get_default_dtype()]
    known: list[bool] = []
    if not say(args, mode, said, known):
        return None
    if operator is INDEX and any(index is not None and index.dtype in _MASKS for index in args[1]):
        return None
    if kwargs:
        said.append(tuple(kwargs))
        if not say(kwargs.values(), mode, said, known):
            return None
    if known and (all(known) or (known[0] and traits_of(operator).in_place)):
        return None
    return tuple(said)


def is_plain(tensor: FakeTensor) -> bool:
    """Whether its shape, strides and dtype say all that an operator goes by: strided, on CPU, no bit set."""
    strided = tensor.layout == torch.strided and tensor.fake_device == _CPU
    return strided and not (tensor.is_neg() or (tensor.dtype.is_complex and tensor.is_conj()))


def say(values: Iterable[Any], mode: FakeTensorMode, said: list[Any], known: list[bool]) -> bool:
    """Append to `said` comparable words for arguments, to `known` whether each tensor's values are known.

    False if they hold something that there are no words for.
    """
    for value in values:
        kind = type(value)
        if kind is FakeTensor:
            if value.fake_mode is not mode or not is_plain(value):
                return False
            known.append(value.constant is not None)
            said.append((tuple(value.shape), value.stride(), value.dtype))
        elif kind in _PLAIN:
            said.append((kind, value))
        elif kind is slice:
            said.append(slice)
            if not say((value.start, value.stop, value.step), mode, said, known):
                return False
        elif kind is list or kind is tuple:
            if len(value) > LONGEST:
                return False
            said += kind, len(value)
            if not say(value, mode, said, known):
                return False
        else:
            return False
    return True


def outcome_of(out: Any, macs: int, given: Sequence[torch.Tensor] | None) -> Outcome | None:
    """What to remember of an output; None if that can't be. Without `given` it is known to be new."""
    several = type(out) in (list, tuple)
    kinds = []
    places = {} if given is None else {storage_of(tensor): place for place, tensor in enumerate(given)}
    for tensor in out if several else (out,):
        if type(tensor) is not FakeTensor or tensor.constant is not None or not is_plain(tensor):
            return None
        place, offset = -1, 0
        if given is not None:
            place = places.setdefault(storage_of(tensor), -1)
            if place < 0:
                places[storage_of(tensor)] = -2  # another one over it is no new tensor
            if place < -1 or (place >= 0 and tensor.dtype != given[place].dtype):
                return None
            if any(tensor is known for known in given):
                return None  # perhaps it was given a flag, which no shape tells
            if place >= 0:
                offset = int(tensor.storage_offset() - given[place].storage_offset())
        kinds.append((tuple(tensor.shape), tensor.stride(), tensor.dtype, place, offset))
    return type(out) if several else FakeTensor, tuple(kinds), macs


def made_from(outcome: Outcome, mode: FakeTensorMode, given: Sequence[torch.Tensor]) -> Any:
    """What an operator or function with this outcome returns, views of `given` where it did."""
    form, kinds, _ = outcome
    made = []
    for shape, strides, dtype, place, offset in kinds:
        if place < 0:
            with torch._C._DisableTorchDispatch():
                made.append(empty_fake(shape, strides, dtype, mode))
        else:
            start = given[place].storage_offset() + offset
            made.append(_viewed(torch.as_strided, mode, (given[place], shape, strides, start), {}))
    return made[0] if form is FakeTensor else cast(type, form)(made)
