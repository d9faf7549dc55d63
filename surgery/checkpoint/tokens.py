"""The vocabulary beside a model's weights: which token has which id."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

from surgery import fence
from surgery.errors import SurgeryError

FILES = (
    *("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json"),
    *("vocab.json", "vocab.txt", "merges.txt", "tokenizer.model", "spiece.model", "sentencepiece.bpe.model"),
)
"""Of which a tokenizer is made."""

ROLES = ("eos_token", "bos_token", "pad_token", "unk_token")
"""Parts that special tokens play, by the names that tokenizers' settings have for them."""


@dataclass(frozen=True, eq=False)
class Tokens:
    """A vocabulary: the id of each token's text, and the texts of the special tokens by their role."""

    ids: Mapping[str, int]
    roles: Mapping[str, str]

    @cached_property
    def digest(self) -> str:
        """The same for two vocabularies that give the same ids and roles to the same texts."""
        said = json.dumps([sorted(self.ids.items()), sorted(self.roles.items())])
        return hashlib.sha256(said.encode()).hexdigest()

    def moved(self, other: Tokens) -> str | None:
        """A token that both have, with different ids; None where there is none."""
        if self is other:
            return None
        return next((text for text, at in self.ids.items() if other.ids.get(text, at) != at), None)

    def renamed(self, other: Tokens) -> list[tuple[str, str]]:
        """Pairs of texts, one of each, that have the same id, where neither side has the other's text."""
        theirs = {at: text for text, at in other.ids.items()}
        return [
            (text, theirs[at])
            for text, at in self.ids.items()
            if text not in other.ids and at in theirs and theirs[at] not in self.ids
        ]


def tokens_in(folder: Path) -> Tokens | None:
    """The vocabulary of the tokenizer in a folder, or of the folder of a file; None if none is there.

    As transformers numbers it, which adds to what the files say. Known from before unless a file was changed.
    SurgeryError where it cannot be read.
    """
    folder = folder.parent if folder.is_file() else folder
    try:
        stamps = tuple(_stamp(folder / name) for name in FILES)
    except (OSError, ValueError):  # a name that no file can have
        return None
    return _read(folder, stamps) if any(stamps) else None


def tokens_of(tokenizer: Any) -> Tokens | None:
    """The vocabulary of a tokenizer of transformers; None if there is no tokenizer."""
    if tokenizer is None:
        return None
    special = getattr(tokenizer, "special_tokens_map", None)
    ids = sorted(tokenizer.get_vocab().items(), key=lambda item: (item[1], item[0]))
    return Tokens(dict(ids), dict(_roles(special)))


def folder_of(tokenizer: Any) -> Path | None:
    """Where a tokenizer was read from, if that is still there."""
    place = getattr(tokenizer, "name_or_path", None)
    folder = Path(place) if isinstance(place, str) and place else None
    return folder if folder is not None and any((folder / name).is_file() for name in FILES) else None


def same_files(one: Path | None, other: Path) -> bool:
    """Whether two folders have the same tokenizer, or none, file by file."""
    if one is None:
        return False
    try:
        return all(_bytes(one / name) == _bytes(other / name) for name in FILES)
    except OSError:
        return False


def _bytes(file: Path) -> bytes | None:
    return file.read_bytes() if file.is_file() else None


def _stamp(file: Path) -> tuple[int, int] | None:
    if not file.is_file():
        return None
    status = file.stat()
    return status.st_size, status.st_mtime_ns


@lru_cache(maxsize=16)
def _read(folder: Path, stamps: tuple[tuple[int, int] | None, ...]) -> Tokens | None:
    from transformers import AutoTokenizer

    fence.folder(folder)
    try:
        return tokens_of(AutoTokenizer.from_pretrained(folder, local_files_only=True))
    except Exception as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise SurgeryError(f"cannot read the tokenizer: {reason[:200]}", path=str(folder)) from None


def _roles(said: Any) -> Iterator[tuple[str, str]]:
    for role in ROLES:
        text = said.get(role) if isinstance(said, Mapping) else None
        if text is not None:
            yield role, str(text)
