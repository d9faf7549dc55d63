"""A folder that is there whole or not at all: written beside its place, flushed, and put there at once."""

from __future__ import annotations

import ctypes
import os
import secrets
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from safetensors import SafetensorError

from surgery import fence
from surgery.errors import SurgeryError


@contextmanager
def written_whole(folder: Path) -> Iterator[Path]:
    """Gives a new folder to write into; when that ends well, its content is what `folder` holds.

    Whatever happens before leaves what was there, folders above that were not there included; a link is
    followed. An error of the disk is a SurgeryError that names `folder`.
    """
    place = resolved(folder)
    above = [parent for parent in place.parents if not parent.exists()]
    partial = place.with_name(f".surgery-{secrets.token_hex(6)}")
    aside = partial.with_name(f"{partial.name}-old")
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        partial.mkdir()
        yield partial
        flush(partial)
        put_in_place(partial, place, aside)
    except (OSError, SafetensorError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise SurgeryError(
            f"could not be written, and nothing was changed: {reason}", path=str(folder)
        ) from None
    finally:
        _clear([partial, aside], place, above)


def resolved(folder: Path) -> Path:
    """Where a folder is written to; SurgeryError if that can be no place for one."""
    fence.writing(folder)
    try:
        place = folder.resolve()
    except (OSError, ValueError, RuntimeError) as error:  # a loop of links, a name no file can have
        raise SurgeryError(f"is no place to write to: {error}", path=repr(str(folder))) from None
    if place.is_mount():
        raise SurgeryError(
            "is where a disk is mounted, so it cannot be replaced as a whole",
            path=str(folder),
            hint=f"a folder inside it, such as {folder / 'model'}",
        )
    return place


def put_in_place(partial: Path, place: Path, aside: Path) -> None:
    """`place` is what `partial` was; if there was something, that is at `partial` or `aside` then."""
    if not place.exists():
        os.rename(partial, place)
    elif not _exchanged(partial, place):
        try:
            os.rename(place, aside)
            os.rename(partial, place)
        except BaseException:
            if aside.exists() and not place.exists():
                _put_back(aside, place)
            raise
    with suppress(OSError):  # it is there, whether the disk says so or not
        sync(place.parent)


def _put_back(aside: Path, place: Path) -> None:
    try:
        os.rename(aside, place)
    except OSError as error:
        raise SurgeryError(
            f"could not be put in place, and what was there is called {aside} now: {error.strerror}",
            path=str(place),
        ) from None


def _exchanged(one: Path, other: Path) -> bool:
    """Swaps the two names in one step that cannot be interrupted; False where the system has no such step."""
    names = {"linux": "renameat2", "darwin": "renameatx_np"}
    here = {"linux": -100, "darwin": -2}  # AT_FDCWD; both call their flag for an exchange 2
    try:
        rename = getattr(ctypes.CDLL(None), names[sys.platform])
    except (KeyError, AttributeError, OSError, TypeError):
        return False
    at = here[sys.platform]
    return bool(rename(at, os.fsencode(one), at, os.fsencode(other), ctypes.c_uint(2)) == 0)


def flush(folder: Path) -> None:
    """Has the disk keep every file and the lists of them."""
    for entry in [*sorted(folder.rglob("*")), folder]:
        sync(entry)


def sync(entry: Path) -> None:
    """Has the disk keep a file, or the list of those in a folder."""
    if os.name == "nt" and entry.is_dir():  # cannot be opened there
        return
    handle = os.open(entry, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _clear(left: list[Path], place: Path, above: list[Path]) -> None:
    """Takes away what is left of the writing, and folders that were made for it and are empty."""
    if not place.exists():  # what was there is still aside
        del left[1:]
    try:
        for folder in left:
            shutil.rmtree(folder, ignore_errors=True)
    finally:
        for folder in left:  # if the first time was interrupted
            shutil.rmtree(folder, ignore_errors=True)
        for parent in above:
            with suppress(OSError):
                parent.rmdir()
