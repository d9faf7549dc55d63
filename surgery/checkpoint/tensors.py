"""Safetensors on disk as named lazy tensors: nothing is read until a recipe needs it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from surgery.errors import SurgeryError
from surgery.fingerprint import combined, tensor_digest
from surgery.lazy import Stored

if TYPE_CHECKING:
    from torch import nn

    from surgery.lazy import Held, Lazy

PLAIN_STEM = "model"
OWN_STEM = "surgery"
"""Files called so transformers does not look for: those of a folder that needs `surgery.load`."""

SINGLE, OWN_SINGLE = f"{PLAIN_STEM}.safetensors", f"{OWN_STEM}.safetensors"
INDEX, OWN_INDEX = f"{SINGLE}.index.json", f"{OWN_SINGLE}.index.json"

DTYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "I64": torch.int64,
    "I32": torch.int32,
    "I16": torch.int16,
    "I8": torch.int8,
    "U8": torch.uint8,
    "BOOL": torch.bool,
    "F8_E4M3": torch.float8_e4m3fn,
    "F8_E5M2": torch.float8_e5m2,
    "U16": torch.uint16,
    "U32": torch.uint32,
    "U64": torch.uint64,
    "C64": torch.complex64,
}
"""Dtypes by the names that safetensors has for them."""


_FINGERPRINTS: dict[tuple[tuple[str, int, int], ...], str] = {}


@dataclass(frozen=True)
class Entry:
    """Where a tensor lies, its shape and dtype."""

    file: Path
    name: str
    shape: tuple[int, ...]
    dtype: torch.dtype

    def lazy(self) -> Stored:
        """The tensor, unread."""
        return Stored(shape=self.shape, dtype=self.dtype, file=self.file, name=self.name)


@dataclass(frozen=True)
class Checkpoint:
    """The tensors of a folder or one file by name; `same` maps dropped names of a tie to the kept.

    `converted` has them by the names of a model in memory, once `for_model` was asked for them.
    """

    folder: Path
    entries: dict[str, Entry]
    same: dict[str, str]
    converted: dict[str, Lazy] | None = None

    @classmethod
    def at(cls, source: str | Path) -> Checkpoint:
        """The checkpoint in a folder or file; SurgeryError if it is not there, truncated or foreign."""
        try:
            place = Path(source).expanduser().resolve()
            files = [place] if place.is_file() else _files(place)
        except (OSError, ValueError):  # a name that no file can have
            raise SurgeryError("there is no such folder", path=f"{str(source)[:80]!r}") from None
        entries: dict[str, Entry] = {}
        same: dict[str, str] = {}
        for file in files:
            for entry in _header(file, same):
                if entry.name in entries:
                    raise SurgeryError("a tensor lies in two files", path=str(file), got=entry.name)
                entries[entry.name] = entry
        return cls(place, entries, {name: kept for name, kept in same.items() if kept in entries})

    def for_model(self, model: nn.Module) -> Checkpoint:
        """The same checkpoint with the names that its tensors have in `model`: see `checkpoint.names`.

        An end of a tie that the model's class makes, and the file left out, is the other end.
        """
        from surgery.checkpoint.names import in_memory
        from surgery.families import declared_ties

        stored = {name: entry.lazy() for name, entry in self.entries.items()}
        converted = in_memory(model, stored | {name: stored[kept] for name, kept in self.same.items()})
        ties = declared_ties(model).items() if self._may_tie() else ()
        mine = {name for name, _ in model.named_parameters(remove_duplicate=False)} if ties else set()
        for target, source in ties:
            if target in mine and source in converted:
                converted.setdefault(target, converted[source])
        return replace(self, converted=converted)

    def _may_tie(self) -> bool:
        """Whether the folder's config does not say that it ties nothing."""
        try:
            config = json.loads((self.folder / "config.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return True
        return not isinstance(config, dict) or config.get("tie_word_embeddings") is not False

    def names(self) -> list[str]:
        """Every name the checkpoint has, those of ties included, sorted."""
        return sorted({*self.entries, *self.same} if self.converted is None else self.converted)

    def entry(self, name: str) -> Entry | None:
        """The tensor called `name`, also where it was dropped as the other end of a tie."""
        return self.entries.get(name) or self.entries.get(self.same.get(name, ""))

    def tensor(self, names: list[str], like: Held) -> Lazy:
        """The tensor of the first of `names` that is there, or what is made of several; shaped as `like`."""
        found = {name: lazy for name in names if (lazy := self._lazy(name))}
        if len({lazy.name if isinstance(lazy, Stored) else id(lazy) for lazy in found.values()}) > 1:
            raise SurgeryError(
                "are one tensor in the model and several in this parent",
                path=" and ".join(found),
                got=str(self.folder),
                hint=f'`untie("{names[-1].rpartition(".")[0]}")` first',
            )
        for name, lazy in found.items():
            if lazy.shape != like.shape:
                raise SurgeryError(
                    "the shapes differ",
                    path=name,
                    got=f"{list(lazy.shape)} in {self.folder}",
                    expected=list(like.shape),
                )
            return lazy
        raise SurgeryError("this parent lacks the tensor", path=names[0], got=str(self.folder))

    def _lazy(self, name: str) -> Lazy | None:
        if self.converted is not None:
            return self.converted.get(name)
        entry = self.entry(name)
        return entry.lazy() if entry else None

    def fingerprint(self) -> str:
        """Content fingerprint of all tensors by name; made anew only when a file changed since."""
        files = sorted({entry.file for entry in self.entries.values()})
        stamps = tuple((str(file), file.stat().st_size, file.stat().st_mtime_ns) for file in files)
        if stamps not in _FINGERPRINTS:
            _FINGERPRINTS[stamps] = self._fingerprint()
        return _FINGERPRINTS[stamps]

    def _fingerprint(self) -> str:
        lines = [
            f"tensor {name} {tensor_digest(read_tensor(e.file, e.name))}" for name, e in self.entries.items()
        ]
        return combined(lines)


def read_tensor(file: Path, name: str) -> torch.Tensor:
    """One tensor of a safetensors file, on the CPU."""
    from safetensors import safe_open

    try:
        with safe_open(file, framework="pt") as opened:
            tensor: torch.Tensor = opened.get_tensor(name)
            return tensor
    except Exception as error:
        raise SurgeryError(f"cannot read {name}: {error}", path=str(file)) from None


def _files(folder: Path) -> list[Path]:
    for index in (folder / INDEX, folder / OWN_INDEX):
        if index.is_file():
            return _shards(index)
    for single in (folder / SINGLE, folder / OWN_SINGLE):
        if single.is_file():
            return [single]
    pickles = sorted(path.name for path in folder.glob("*.bin")) if folder.is_dir() else []
    if pickles:
        raise SurgeryError(
            "holds a pickle, which is never loaded",
            path=str(folder / pickles[0]),
            expected=SINGLE,
            hint="converting it with `save_pretrained`, or `surgery.open(file, into=module)`: weights only",
        )
    raise SurgeryError("holds no safetensors", path=str(folder), expected=f"{SINGLE} or {INDEX}")


def _shards(index: Path) -> list[Path]:
    try:
        shards = sorted(set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()))
    except (ValueError, KeyError, TypeError, AttributeError):
        raise SurgeryError("is no index of safetensors shards", path=str(index)) from None
    for shard in shards:
        if not isinstance(shard, str) or Path(shard).name != shard:
            raise SurgeryError("the index names a file outside its folder", path=str(index), got=shard)
    return [index.parent / shard for shard in shards]


def _header(file: Path, same: dict[str, str]) -> Iterator[Entry]:
    from safetensors import safe_open

    if not file.is_file():
        raise SurgeryError("the file is not there", path=str(file))
    try:
        with safe_open(file, framework="pt") as opened:
            for key, value in (opened.metadata() or {}).items():
                if key != "format" or value != "pt":
                    same[key] = value
            for name in opened.keys():  # noqa: SIM118  a safetensors handle is no dictionary
                part = opened.get_slice(name)
                yield Entry(file, name, tuple(part.get_shape()), _dtype(part.get_dtype(), file, name))
    except SurgeryError:
        raise
    except Exception as error:
        raise SurgeryError(
            f"is truncated or no safetensors file ({error})", path=str(file), hint="copying the file again"
        ) from None


def _dtype(text: str, file: Path, name: str) -> torch.dtype:
    if text not in DTYPES:
        raise SurgeryError(f"{name} has a dtype that is not supported", path=str(file), got=text)
    return DTYPES[text]
