"""Which files of a streamed save are whole, kept on disk so that another run can go on from there."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import Any

from surgery.errors import SurgeryError
from surgery.fingerprint import digest_of, hashed
from surgery.stream.identity import Identity, difference
from surgery.stream.layout import Shard

_FORMAT, _VERSION = "surgery-partial", 1
_PIECE_BYTES = 8_000_000

Whole = dict[str, dict[str, str]]
"""For each whole file the digests of its tensors by name."""


@dataclass
class Ledger:
    """Beside the folder that is written: the identity of its plan, then a line for each file that is whole.

    `resume` says whether an earlier run may be gone on from. `begun`: this run has made the folder its own.
    """

    file: Path
    resume: bool = False
    begun: bool = False
    whole: Whole = field(default_factory=dict)
    _lock: Lock = field(default_factory=Lock)

    def begin(
        self, identity: Identity, shards: Sequence[Shard], folder: Path, told: Callable[[int], None]
    ) -> Whole:
        """The files in `folder` that need not be written again; all else is taken out of it.

        Each was read again, and has the digests noted. SurgeryError, and nothing is taken away, if the
        earlier run had another identity. `told` hears of the bytes of tensors that were found.
        """
        noted: Whole = {}
        if self.resume and (earlier := _read(self.file)) is not None:
            before, noted = earlier
            if told_apart := difference(before, identity):
                raise SurgeryError(
                    f"the run that was stopped cannot be gone on with: {told_apart}",
                    path=str(self.file.parent),
                    hint="the same without `--resume` (`resume=True`), which starts anew",
                )
        found = _verified(noted, shards, folder, told)
        self.whole, self.begun = dict(found), True
        for entry in folder.iterdir():
            if entry.name not in found:
                shutil.rmtree(entry) if entry.is_dir() and not entry.is_symlink() else entry.unlink()
        head = {"format": _FORMAT, "version": _VERSION, "identity": identity}
        lines = [head, *({"file": name, "digests": digests} for name, digests in found.items())]
        fresh = self.file.with_name(f"{self.file.name}.new")
        _put(fresh, lines, os.O_TRUNC)
        os.replace(fresh, self.file)
        return found

    def note(self, name: str, digests: Mapping[str, str]) -> None:
        """This file is whole, and on the disk."""
        with self._lock:
            _put(self.file, [{"file": name, "digests": dict(digests)}], os.O_APPEND)
            self.whole[name] = dict(digests)


def _put(file: Path, lines: Sequence[Any], flag: int) -> None:
    """Writes lines of JSON and has the disk keep them."""
    handle = os.open(file, os.O_WRONLY | os.O_CREAT | flag, 0o666)
    try:
        data = "".join(json.dumps(line) + "\n" for line in lines).encode()
        done = 0
        while done < len(data):
            done += os.write(handle, data[done:])
        os.fsync(handle)
    finally:
        os.close(handle)


def _read(file: Path) -> tuple[Identity, Whole] | None:
    """What an earlier run noted; None if it noted nothing. A last line that was cut off does not count."""
    try:
        head, *lines = file.read_text(encoding="utf-8").split("\n")[:-1]
        said = json.loads(head)
        if (said["format"], said["version"]) != (_FORMAT, _VERSION):
            return None
        parsed = [json.loads(line) for line in lines]
        whole = {str(line["file"]): dict(line["digests"]) for line in parsed}
        identity: Identity = said["identity"]
        return (identity, whole) if {"files", "made_with"} <= identity.keys() else None
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None


def _verified(noted: Whole, shards: Sequence[Shard], folder: Path, told: Callable[[int], None]) -> Whole:
    """Those of the noted files that hold what was noted, in the order of the files."""
    asked = [shard for shard in shards if shard.file in noted]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        found: Whole = {}
        for shard, good in zip(asked, pool.map(lambda one: _holds(one, noted, folder), asked), strict=True):
            if good:
                found[shard.file] = noted[shard.file]
                told(shard.tensor_bytes)
    return found


def _holds(shard: Shard, noted: Whole, folder: Path) -> bool:
    try:
        with (folder / shard.file).open("rb") as opened:
            if opened.read(len(shard.header)) != shard.header:
                return False
            for span in shard.spans:
                found, left = hashed(), span.stop - span.start
                while left and (data := opened.read(min(left, _PIECE_BYTES))):
                    found.update(data)
                    left -= len(data)
                digest = digest_of(span.lazy.dtype, span.lazy.shape, found.hexdigest())
                if left or digest != noted[shard.file].get(span.name):
                    return False
            return not opened.read(1)
    except OSError:
        return False
