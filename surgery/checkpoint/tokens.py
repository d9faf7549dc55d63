"""The vocabulary beside a model's weights: which token has which id, read without loading a tokenizer."""

from __future__ import annotations

import filecmp
import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

TOKENIZER, SETTINGS, SPECIAL = "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"

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


def tokens_in(folder: Path) -> Tokens | None:
    """The vocabulary in the tokenizer.json of a folder, or of the folder of a file; None if none is there.

    Known from before unless a file was changed. None too for one that is written in a way not known here.
    """
    folder = folder.parent if folder.is_file() else folder
    try:
        stamps = tuple(_stamp(folder / name) for name in (TOKENIZER, SETTINGS, SPECIAL))
    except (OSError, ValueError):  # a name that no file can have
        return None
    return _read(folder, stamps) if stamps[0] else None


def tokens_of(tokenizer: Any) -> Tokens | None:
    """The vocabulary of a tokenizer of transformers; None if there is no tokenizer."""
    if tokenizer is None:
        return None
    folder = folder_of(tokenizer)
    found = None if folder is None else tokens_in(folder)
    if found is not None and len(found.ids) == len(tokenizer):
        return found
    special = getattr(tokenizer, "special_tokens_map", None)
    return Tokens(dict(tokenizer.get_vocab()), dict(_roles(special)))


def folder_of(tokenizer: Any) -> Path | None:
    """Where a tokenizer was read from, if that is still there."""
    place = getattr(tokenizer, "name_or_path", None)
    folder = Path(place) if isinstance(place, str) and place else None
    return folder if folder is not None and (folder / TOKENIZER).is_file() else None


def same_file(one: Path | None, other: Path) -> bool:
    """Whether the tokenizer.json of two folders are the same, byte by byte."""
    try:
        return one is not None and filecmp.cmp(one / TOKENIZER, other / TOKENIZER, shallow=False)
    except OSError:
        return False


def _stamp(file: Path) -> tuple[int, int] | None:
    if not file.is_file():
        return None
    status = file.stat()
    return status.st_size, status.st_mtime_ns


@lru_cache(maxsize=16)
def _read(folder: Path, stamps: tuple[tuple[int, int] | None, ...]) -> Tokens | None:
    said, settings = _json(folder / TOKENIZER), _json(folder / SETTINGS)
    try:
        vocabulary = said["model"]["vocab"]
        if isinstance(vocabulary, list):  # pairs of a text and its score, in the order of ids
            vocabulary = {text: place for place, (text, _) in enumerate(vocabulary)}
        ids = {str(text): int(place) for text, place in vocabulary.items()}
        ids |= {item["content"]: int(item["id"]) for item in said.get("added_tokens") or ()}
        decoder = settings.get("added_tokens_decoder") or {}
        ids |= {item["content"]: int(place) for place, item in decoder.items()}
    except (KeyError, TypeError, ValueError, AttributeError):
        return None
    return Tokens(ids, dict(_roles(_json(folder / SPECIAL))) | dict(_roles(settings)))


def _json(file: Path) -> dict[str, Any]:
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _roles(said: Any) -> Iterator[tuple[str, str]]:
    for role in ROLES:
        text = said.get(role) if isinstance(said, Mapping) else None
        text = text.get("content") if isinstance(text, Mapping) else text
        if text is not None:
            yield role, str(text)
