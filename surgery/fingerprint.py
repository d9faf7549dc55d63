"""Content fingerprints: what a model is, whatever file, shard or device it lies in. See DECISIONS.md, 3."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Lock
from typing import Any

import torch
from torch import nn
from torch.utils.weak import WeakIdKeyDictionary

from surgery.errors import SurgeryError
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
_INCIDENTAL_ATTRIBUTES = {"training", "name_or_path", "loss_type", "gradient_checkpointing"}


def tensor_digest(tensor: torch.Tensor) -> str:
    """`dtype shape sha256` of a tensor's values, in row-major order."""
    return digest_of(tensor.dtype, tensor.shape, hashed(bytes_of(tensor)).hexdigest())


def hashed(data: Any = b"") -> Any:
    """The hash of some bytes that digests are made with, to be updated with more."""
    return hashlib.sha256(data)


def bytes_of(tensor: torch.Tensor) -> Any:
    """The bytes of a tensor's values in row-major order, an array (n,) uint8."""
    return tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy()


def digest_of(dtype: torch.dtype, shape: Sequence[int], sha256: str) -> str:
    """The digest of a tensor whose bytes have this SHA-256."""
    return f"{str(dtype).removeprefix('torch.')} {'x'.join(map(str, shape))} {sha256}"


def combined(lines: Iterable[str]) -> str:
    """The fingerprint of a set of lines: order does not matter."""
    return "sha256:" + hashlib.sha256("\n".join(sorted(lines)).encode()).hexdigest()


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
        lines = [f"class {type(model).__name__}"]
        for path, module in model.named_modules(remove_duplicate=False):
            known = scalars(module) | narrowed(module)
            lines.append(f"module {path} {type(module).__name__} {json.dumps(known)}")
        config = getattr(model, "config", None)
        if hasattr(config, "to_dict"):
            lines.append(config_line(config))
        sites: dict[int, list[str]] = {}
        tensors: dict[int, torch.Tensor] = {}
        for name, tensor in stored_tensors(model):
            sites.setdefault(id(tensor), []).append(name)
            tensors[id(tensor)] = tensor
        with ThreadPoolExecutor() as pool:
            digests = dict(zip(tensors, pool.map(self.digest, tensors.values()), strict=True))
        for key, names in sites.items():
            lines.append(f"tensor {min(names)} {digests[key]}")
            if len(names) > 1:
                lines.append(f"tie {' '.join(sorted(names))}")
        return combined(lines)

    def digest(self, tensor: torch.Tensor) -> str:
        """The digest of a tensor; SurgeryError for one on meta."""
        if tensor.is_meta:
            raise SurgeryError("a model without weights has no fingerprint")
        if tensor.is_inference():  # it keeps no version that would say whether it changed
            return tensor_digest(tensor)
        storage = tensor.untyped_storage()
        what = (tensor.data_ptr(), tensor._version, tensor.dtype, tuple(tensor.shape), tensor.stride())
        with self._lock:
            known: dict[Any, str] = self._known.setdefault(storage, {})
        if what not in known:
            known[what] = tensor_digest(tensor)
        return known[what]


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
