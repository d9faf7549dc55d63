"""Names on disk and names in memory, which differ for some families of transformers, and both ways between.

Mixtral's experts lie one by one in a file and are one tensor in memory; ViT's files keep older names. What
transformers does to tensors as it loads and saves is done here to lazy ones: it converts stand-ins on meta,
and each remembers the recipe it stands for. Nothing is read or computed until somebody asks for a tensor.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import deepcopy
from typing import Any, Self

import torch
from torch import nn

from surgery.errors import SurgeryError
from surgery.families import declared_ties, model_type
from surgery.fingerprint import stored_tensors
from surgery.lazy import Held, Lazy, recipe


def on_disk(model: nn.Module) -> dict[str, Lazy]:
    """What `save_pretrained` would write of a transformers model: names in a file, and the tensors there.

    Of a tie that the class makes, the name it is loaded by is kept and the others are left out.
    """
    from transformers.core_model_loading import revert_weight_conversion

    stand_ins = {name: _Conversion.of(lazy) for name, lazy in _kept(model).items()}
    with _refusing("cannot be written as its family is stored", type(model).__name__):
        return {name: made.lazy for name, made in revert_weight_conversion(model, stand_ins).items()}


def in_memory(model: nn.Module, stored: Mapping[str, Lazy]) -> dict[str, Lazy]:
    """Tensors of a file by the names they have in `model`, as `from_pretrained` would convert them.

    What has no place in the model keeps the name transformers would give it. A checkpoint with the live
    names stays as it is, and so does one for a module that is none of transformers.
    """
    live = {name for name, _ in stored_tensors(model)}
    if model_type(model) is None or not hasattr(model, "base_model_prefix") or live <= stored.keys():
        return dict(stored)
    conversions = _conversions(model, stored, live)
    found: dict[str, Lazy] = {}
    for first, conversion in conversions.items():
        with _refusing("cannot be made of the tensors in this checkpoint", first):
            made = conversion.convert(first, model=model, config=model.config)
        for name, value in made.items():
            stand_in = value[0] if isinstance(value, list) else value
            found[name] = stand_in.lazy
    return found


@contextmanager
def _refusing(problem: str, path: str) -> Iterator[None]:
    """What transformers raises as it converts, as a refusal."""
    try:
        yield
    except SurgeryError:
        raise
    except Exception as error:
        raise SurgeryError(f"{problem}: {error}", path=path) from None


def _conversions(model: Any, stored: Mapping[str, Lazy], live: set[str]) -> dict[str, Any]:
    """By its first name in memory: a conversion that holds the stand-ins it is made from."""
    from transformers.conversion_mapping import get_model_conversion_mapping
    from transformers.core_model_loading import (
        WeightConverter,
        WeightRenaming,
        dot_natural_key,
        rename_source_key,
    )

    known = get_model_conversion_mapping(model)
    renamings = [item for item in known if isinstance(item, WeightRenaming)]
    converters = [item for item in known if isinstance(item, WeightConverter)]
    by_pattern = {pattern: item for item in converters for pattern in item.source_patterns}
    there = dict.fromkeys(live, True)
    found: dict[str, Any] = {}
    for name in sorted(stored, key=dot_natural_key):
        live_name, pattern = rename_source_key(name, renamings, converters, model.base_model_prefix, there)
        if live_name not in live and name in live:  # in a file with live names, what looks like an old one
            live_name, pattern = name, None
        if pattern is not None and live_name in live:
            conversion = found.setdefault(live_name, deepcopy(by_pattern[pattern]))
        else:
            conversion, pattern = found.setdefault(live_name, WeightRenaming(name, live_name)), name
        conversion.add_tensor(live_name, name, pattern, _Conversion.of(stored[name]))
    return found


def _kept(model: nn.Module) -> dict[str, Lazy]:
    """The stored tensors of a model, of each tie the name that the class loads it by."""
    sites: dict[int, list[str]] = {}
    tensors: dict[int, torch.Tensor] = {}
    for name, tensor in stored_tensors(model):
        sites.setdefault(id(tensor), []).append(name)
        tensors[id(tensor)] = tensor
    targets = {*declared_ties(model), *(getattr(model, "all_tied_weights_keys", None) or {})}
    ignored = set(getattr(model, "_keys_to_ignore_on_save", None) or ())
    found: dict[str, Lazy] = {}
    for key, names in sites.items():
        sources = [name for name in names if name not in targets]
        name = sources[0] if sources else names[-1]
        if name not in ignored:
            found[name] = held(tensors[key])
    return found


def held(tensor: torch.Tensor) -> Held:
    """A lazy tensor around one that is there, a parameter or a buffer."""
    return Held.of(tensor)


class _Conversion(torch.Tensor):
    """A stand-in on meta for a lazy tensor; what is made of it stands for the recipe that makes it.

    Known are views of any kind (a slice, transpose or reshape is where in the source each element lies),
    `cat` and `stack`; for anything else SurgeryError.
    """

    lazy: Lazy

    @classmethod
    def of(cls, lazy: Lazy) -> Self:
        made = torch.empty(lazy.shape, dtype=lazy.dtype, device="meta").as_subclass(cls)
        made.lazy = lazy
        return made

    @classmethod
    def __torch_function__(
        cls,
        func: Callable[..., Any],
        types: Iterable[type],
        args: Sequence[Any] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        with torch._C.DisableTorchFunctionSubclass():
            result = func(*args, **(kwargs or {}))
        if isinstance(result, torch.Tensor):
            return cls._standing_for(result, func, args, kwargs or {})
        if isinstance(result, tuple | list) and any(isinstance(item, torch.Tensor) for item in result):
            return type(result)(cls._standing_for(item, func, args, kwargs or {}) for item in result)
        return result

    @classmethod
    def _standing_for(
        cls, result: torch.Tensor, func: Callable[..., Any], args: Sequence[Any], kwargs: dict[str, Any]
    ) -> Self:
        source = args[0]
        if isinstance(source, cls) and _is_view(func, result, source):
            if result.shape == source.shape and result.is_contiguous():
                return cls.of(source.lazy)
            strides, offset = tuple(result.stride()), int(result.storage_offset())
            shape = tuple(result.shape)
            return cls.of(
                recipe("viewed", source.lazy, shape=shape, sides=shape, strides=strides, offset=offset)
            )
        name = {torch.cat: "concatenated", torch.stack: "stacked"}.get(func)
        if name is None:
            raise SurgeryError(
                "transformers converts the tensors of this family in a way that is not known here",
                got=getattr(func, "__name__", str(func)),
            )
        dim = int(kwargs.get("dim", args[1] if len(args) > 1 else 0))
        return cls.of(recipe(name, *(item.lazy for item in source), shape=tuple(result.shape), dim=dim))


def _is_view(func: Callable[..., Any], result: torch.Tensor, source: torch.Tensor) -> bool:
    """Whether the result shows the source's memory as it was, in the same dtype."""
    name = getattr(func, "__name__", "")
    in_place = name.endswith("_") and not name.endswith("__")
    with torch._C.DisableTorchFunctionSubclass():
        same = result.untyped_storage()._cdata == source.untyped_storage()._cdata
        return bool(same and result.dtype == source.dtype and not in_place)
