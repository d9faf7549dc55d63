"""Content fingerprints: what a model is, whatever file, shard or device it lies in. See DECISIONS.md, 3."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Lock
from typing import Any

import torch
from blake3 import blake3
from torch import nn
from torch.utils.weak import WeakIdKeyDictionary

from surgery.errors import SurgeryError
from surgery.likeness import Gauge, Likeness, gauged
from surgery.reductions import tiles_of
from surgery.windows import narrowed

# Fields of a config that say where it came from or how it is stored, not what is computed.
_INCIDENTAL = {
    "_name_or_path",
    "name_or_path",
    "transformers_version",
    "architectures",
    "torch_dtype",
    "dtype",
    "use_cache",
    "_attn_implementation",
    "attn_implementation",
    "_attn_implementation_internal",
    "_experts_implementation",
}


# Attributes that say how a module is run or where it came from, not what it computes.
_ALONE_BYTES = 1 << 20
"""So much is read before threads have started."""
_INCIDENTAL_ATTRIBUTES = {"training", "name_or_path", "loss_type", "gradient_checkpointing"}


def tensor_digest(tensor: torch.Tensor) -> str:
    """`dtype shape blake3` of a tensor's values, in row-major order."""
    return digest_of(tensor.dtype, tensor.shape, hashed(bytes_of(tensor)).hexdigest())


def hashed(data: Any = b"") -> Any:
    """The BLAKE3 hash of some bytes, to be updated with more."""
    return blake3(data)


def bytes_of(tensor: torch.Tensor) -> Any:
    """The bytes of a tensor's values in row-major order, an array (n,) uint8."""
    whole = tensor.detach().cpu().contiguous()
    # Of a single element any stride counts as contiguous, and not every one can be viewed as bytes.
    return whole.as_strided((whole.numel(),), (1,)).view(torch.uint8).numpy()


def digest_of(dtype: torch.dtype, shape: Sequence[int], digest: str) -> str:
    """The digest of a tensor whose bytes have this hash, in hexadecimal."""
    return f"{str(dtype).removeprefix('torch.')} {'x'.join(map(str, shape))} {digest}"


def combined(lines: Iterable[str]) -> str:
    """The fingerprint of a set of lines: order does not matter."""
    return f"blake3:{hashed(chr(10).join(sorted(lines)).encode()).hexdigest()}"


def config_line(config: Any) -> str:
    """The fields of a transformers config that change what is computed, as one line of JSON."""
    return f"config {json.dumps(_essential(config.to_dict()), sort_keys=True, default=str)}"


def _essential(fields: dict[str, Any]) -> dict[str, Any]:
    """The fields without incidental ones, in sub-configs too: transformers notes a dtype in each it loads."""
    return {
        key: _essential(value) if isinstance(value, dict) else value
        for key, value in fields.items()
        if key not in _INCIDENTAL
    }


class Fingerprinter:
    """Makes fingerprints of models; a tensor seen before, unchanged, is not hashed again."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._known = WeakIdKeyDictionary()  # by storage: the opened model and its shell share it

    def __call__(self, model: nn.Module) -> str:
        """The fingerprint of modules, config, stored tensors and ties; SurgeryError on meta tensors."""
        return combined([*_structure(model), *self._exactly(named_tensors(model))])

    def signature(self, model: nn.Module, base: nn.Module) -> tuple[str, Likeness]:
        """Fingerprint and likeness of a model that was made from a base."""
        return self(model), self.likeness(model, base)

    def likeness(self, model: nn.Module, base: nn.Module) -> Likeness:
        """What of a model may come out a little otherwise elsewhere: tensors that are none of the base's."""
        known = {self.origin(tensor) for tensor in named_tensors(base).values()}
        made = [name for name, tensor in named_tensors(model).items() if self.origin(tensor) not in known]
        return self.likeness_in(model, made)

    def likeness_in(self, model: nn.Module, names: Collection[str]) -> Likeness:
        """Gauges of the tensors of these names, and all else exactly, which is also what has no gauge."""
        tensors = named_tensors(model)
        found = _of_each(self.gauge, {name: tensors[name] for name in names if name in tensors})
        gauges = {name: gauge for name, gauge in found.items() if gauge is not None}
        exact = self._exactly({name: each for name, each in tensors.items() if name not in gauges})
        kinds = (f"gauge {name} {digest_of(tensors[name].dtype, tensors[name].shape, '')}" for name in gauges)
        return Likeness(combined([*_structure(model), *exact, *kinds]), gauges)

    def digest(self, tensor: torch.Tensor) -> str:
        """The digest of a tensor; SurgeryError for one on meta."""
        found: str = self._once("digest", tensor, tensor_digest)
        return found

    def gauge(self, tensor: torch.Tensor) -> Gauge | None:
        """The gauge of a tensor; None for integers, and where values are not finite."""
        found: Gauge | None = None
        if tensor.dtype.is_floating_point:
            found = self._once("gauge", tensor, lambda whole: gauged(whole.dtype, tiles_of(whole)))
        return found

    def origin(self, tensor: torch.Tensor) -> object:
        """The same for two tensors whose values nobody has to compute, since they are the very same.

        A session has buffers of its own: those are the same if their values are.
        """
        if not isinstance(tensor, nn.Parameter):
            return self.digest(tensor)
        return tensor.untyped_storage().data_ptr(), tensor.storage_offset(), tensor.shape, tensor.stride()

    def _exactly(self, tensors: Mapping[str, torch.Tensor]) -> Iterator[str]:
        return (f"tensor {name} {digest}" for name, digest in _of_each(self.digest, tensors).items())

    def _once(self, what: str, tensor: torch.Tensor, find: Callable[[torch.Tensor], Any]) -> Any:
        """What is found in a tensor, looked for again only if it was changed."""
        if tensor.is_meta:
            raise SurgeryError("a model without weights has no fingerprint")
        if tensor.is_inference():  # it keeps no version that would say whether it changed
            return find(tensor)
        storage = tensor.untyped_storage()
        where = tensor.data_ptr(), tensor._version, tensor.dtype, tuple(tensor.shape), tensor.stride(), what
        with self._lock:
            known: dict[Any, Any] = self._known.setdefault(storage, {})
        if where not in known:
            known[where] = find(tensor)
        return known[where]


def _of_each(find: Callable[[torch.Tensor], Any], tensors: Mapping[str, torch.Tensor]) -> dict[str, Any]:
    if sum(tensor.nbytes for tensor in tensors.values()) <= _ALONE_BYTES:
        return {name: find(tensor) for name, tensor in tensors.items()}
    with ThreadPoolExecutor() as pool:
        return dict(zip(tensors, pool.map(find, tensors.values()), strict=True))


def _structure(model: nn.Module) -> list[str]:
    """Lines on what a model is besides its tensors: modules, config, ties."""
    lines = [f"class {type(model).__name__}"]
    for path, module in model.named_modules(remove_duplicate=False):
        known = scalars(module) | narrowed(module)
        lines.append(f"module {path} {type(module).__name__} {json.dumps(known)}")
    config = getattr(model, "config", None)
    if hasattr(config, "to_dict"):
        lines.append(config_line(config))
    ties = (names for names, _ in _named(model) if len(names) > 1)
    return lines + [f"tie {' '.join(sorted(names))}" for names in ties]


def named_tensors(model: nn.Module) -> dict[str, torch.Tensor]:
    """Parameters and persistent buffers, each once, by the least of its names in a state_dict."""
    return {min(names): tensor for names, tensor in _named(model)}


def _named(model: nn.Module) -> list[tuple[list[str], torch.Tensor]]:
    found: dict[int, tuple[list[str], torch.Tensor]] = {}
    for name, tensor in stored_tensors(model):
        found.setdefault(id(tensor), ([], tensor))[0].append(name)
    return list(found.values())


def scalars(module: nn.Module) -> dict[str, bool | int | float | str]:
    """The scalar attributes that say what a module computes: widths, rates, scales, places."""
    return {
        name: value
        for name, value in sorted(module.__dict__.items())
        if not name.startswith("_")
        and name not in _INCIDENTAL_ATTRIBUTES
        and isinstance(value, bool | int | float | str)
    }


def stored_tensors(model: nn.Module) -> list[tuple[str, torch.Tensor]]:
    """Parameters and persistent buffers by every name a state_dict gives them, in its order."""
    found = model.state_dict(keep_vars=True).items()
    return [(name, value) for name, value in found if isinstance(value, torch.Tensor)]
