"""Safetensors on disk as named lazy tensors: nothing is read until a recipe needs it."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from surgery import fence
from surgery.checkpoint.headers import header_of
from surgery.checkpoint.hub import fetched, is_on_hub
from surgery.checkpoint.index import refuse_other, weight_map
from surgery.errors import SurgeryError
from surgery.families import declared_ties
from surgery.fingerprint import combined
from surgery.lazy import Stored
from surgery.stream.reading import Reader

if TYPE_CHECKING:
    from torch import nn

    from surgery.lazy import Held, Lazy

PLAIN_STEM = "model"
OWN_STEM = "surgery"
"""Files called so transformers does not look for: those of a folder that needs `surgery.load`."""

SINGLE, OWN_SINGLE = f"{PLAIN_STEM}.safetensors", f"{OWN_STEM}.safetensors"
INDEX, OWN_INDEX = f"{SINGLE}.index.json", f"{OWN_SINGLE}.index.json"

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
    hub: str | None = None

    @property
    def source(self) -> str:
        """Where it lies, as a script says it: the folder, or its place on the hub."""
        return self.hub or str(self.folder)

    @classmethod
    def at(cls, source: str | Path) -> Checkpoint:
        """The checkpoint in a folder or file; SurgeryError if it is not there, truncated or foreign.

        `hf://OWNER/NAME`, with `@REVISION` behind it or not, is fetched from the Hugging Face hub.
        """
        if is_on_hub(source):
            return replace(cls.at(fetched(str(source))), hub=str(source))
        try:
            place = fence.reading(source).expanduser().resolve()
            index, said, files = (None, {}, [place]) if place.is_file() else _files(place)
        except SurgeryError:
            raise
        except (OSError, ValueError, RuntimeError):  # a name that no file can have, a home that nobody has
            raise SurgeryError("there is no such folder", path=f"{str(source)[:80]!r}") from None
        entries: dict[str, Entry] = {}
        same: dict[str, str] = {}
        for file in files:
            for entry in _header(file, same):
                if entry.name in entries:
                    raise SurgeryError("a tensor lies in two files", path=str(file), got=entry.name)
                entries[entry.name] = entry
        if index is not None:
            refuse_other(index, said, {name: entry.file for name, entry in entries.items()})
        return cls(place, entries, {name: kept for name, kept in same.items() if kept in entries})

    def for_model(self, model: nn.Module) -> Checkpoint:
        """The same checkpoint with the names that its tensors have in `model`: see `checkpoint.names`.

        An end of a tie that the model's class makes, and the file left out, is the other end.
        """
        from surgery.checkpoint.names import in_memory

        stored = {name: entry.lazy() for name, entry in self.entries.items()}
        converted = in_memory(model, stored | {name: stored[kept] for name, kept in self.same.items()})
        mine = {name for name, _ in model.named_parameters(remove_duplicate=False)}
        tied = self._ties(model)
        for target, source in declared_ties(model).items() if tied is not False else ():
            if target in mine and source in converted and (tied or target not in converted):
                converted[target] = converted[source]  # what a file has for it else is not loaded either
        return replace(self, converted=converted)

    def _ties(self, model: nn.Module) -> bool | None:
        """Whether the config beside the checkpoint ties what the class may tie; None where there is none."""
        config_class: Any = type(getattr(model, "config", None))
        try:
            text = (self.folder / "config.json").read_text(encoding="utf-8")
            return bool(config_class.from_dict(json.loads(text)).tie_word_embeddings)
        except (OSError, ValueError, TypeError, AttributeError, RecursionError):
            return None

    def names(self) -> list[str]:
        """Every name the checkpoint has, those of ties included, sorted."""
        return sorted({*self.entries, *self.same} if self.converted is None else self.converted)

    def entry(self, name: str) -> Entry | None:
        """The tensor called `name`, also where it was dropped as the other end of a tie."""
        return self.entries.get(name) or self.entries.get(self.same.get(name, ""))

    def tensor(self, names: list[str], like: Held, *, free: Collection[int] = ()) -> Lazy:
        """The tensor of the first of `names` that is there, or what is made of several; shaped as `like`.

        Along the dimensions that are `free` it may have another size.
        """
        found = {name: lazy for name in names if (lazy := self._lazy(name))}
        if len({lazy.name if isinstance(lazy, Stored) else id(lazy) for lazy in found.values()}) > 1:
            raise SurgeryError(
                "are one tensor in the model and several in this parent",
                path=" and ".join(found),
                got=str(self.folder),
                hint=f'`untie("{names[-1].rpartition(".")[0]}")` first',
            )
        for name, lazy in found.items():
            narrow = lazy.dtype.itemsize == 1 or not lazy.dtype.is_floating_point
            if narrow and like.dtype.is_floating_point:
                raise SurgeryError(
                    "is stored as integers or in eight bits, which mean nothing without their scales",
                    path=name,
                    got=f"{lazy.dtype} in {self.folder}",
                    expected=like.dtype,
                    hint="a parent that is not quantised",
                )
            if not _is_shaped(lazy, like, free):
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
        with Reader() as reader, ThreadPoolExecutor() as pool:
            digests = pool.map(lambda entry: reader.digest(entry.lazy()), self.entries.values())
            found = combined(
                f"tensor {name} {digest}" for name, digest in zip(self.entries, digests, strict=True)
            )
            reader.refuse_changed()
        return found


def _is_shaped(lazy: Lazy, like: Lazy, free: Collection[int]) -> bool:
    """Whether a tensor has the other's shape but for what is free."""
    return len(lazy.shape) == len(like.shape) and all(
        dim in free or size == own for dim, (size, own) in enumerate(zip(lazy.shape, like.shape, strict=True))
    )


def read_tensor(file: Path, name: str) -> torch.Tensor:
    """One tensor of a safetensors file, on the CPU."""
    with Reader() as reader:
        tensor = reader.named(file, name)
        reader.refuse_changed()
    return tensor


def _files(folder: Path) -> tuple[Path | None, dict[str, str], list[Path]]:
    """The index of a folder, where it has one, what that says, and the files of weights."""
    for index in (folder / INDEX, folder / OWN_INDEX):
        if index.is_file():
            said = weight_map(index)
            return index, said, [folder / file for file in sorted(set(said.values()))]
    for single in (folder / SINGLE, folder / OWN_SINGLE):
        if single.is_file():
            return None, {}, [single]
    pickles = sorted(path.name for path in folder.glob("*.bin")) if folder.is_dir() else []
    if pickles:
        raise SurgeryError(
            "holds a pickle, which is never loaded",
            path=str(folder / pickles[0]),
            expected=SINGLE,
            hint="converting it with `save_pretrained`, or `surgery.open(file, into=module)`: weights only",
        )
    raise SurgeryError("holds no safetensors", path=str(folder), expected=f"{SINGLE} or {INDEX}")


def _header(file: Path, same: dict[str, str]) -> Iterator[Entry]:
    header = header_of(file)
    for key, value in header.metadata.items():
        if key != "format" or value != "pt":
            same[key] = value
    for name, place in header.tensors.items():
        yield Entry(file, name, place.shape, place.dtype)
