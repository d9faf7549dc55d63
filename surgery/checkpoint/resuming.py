"""A folder that is written beside its place under a name that can be found again, to go on after a kill.

Beside `out` lies, while it is written, a folder `.surgery-` and a hash of the name of `out`. In it are
`model`, which becomes `out`, `lock`, which one run at a time holds, and `whole`, which says what of `model`
need not be written again (see `surgery.stream.ledger`). Only `model` is ever put in place.
"""

from __future__ import annotations

import errno
import hashlib
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from surgery.checkpoint.replacing import flush, put_in_place, resolved
from surgery.errors import SurgeryError
from surgery.stream.ledger import Ledger

_NO_LOCKS = {errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOLCK, errno.EINVAL}


@contextmanager
def written_resumably(folder: Path, resume: bool) -> Iterator[tuple[Path, Ledger]]:
    """Gives a folder to write into, with its ledger; when that ends well, its content is what `folder` holds.

    What was there stays until then. An error takes away what was written, and is a SurgeryError where it is
    one of the disk; one that comes before `Ledger.begin` has made the folder this run's leaves what a run
    before had written. KeyboardInterrupt leaves the files that are whole, for the next run with `resume`, and
    says so. SurgeryError, and nothing is touched, while another run writes to the same place.
    """
    place = resolved(folder)
    above = [parent for parent in place.parents if not parent.exists()]
    keeps = False
    work, lock = _taken(place, folder, resume)
    is_new = not (work / "model").exists() and not (work / "old").exists()
    partial, ledger = work / "model", Ledger(work / "whole", resume)
    try:
        _recover(work, place)
        partial.mkdir(exist_ok=True)
        yield partial, ledger
        flush(partial)
        put_in_place(partial, place, work / "old")
        ledger.begun, ledger.whole = True, {}
    except OSError as error:
        raise _not_written(folder, error) from None
    except KeyboardInterrupt:
        keeps = bool(ledger.whole) and partial.is_dir()
        if keeps:
            raise KeyboardInterrupt(_stopped(folder, len(ledger.whole))) from None
        raise
    finally:
        if not keeps and (ledger.begun or is_new):
            _clear(work, place, above)
        if lock is not None:
            os.close(lock)


def forget_finished(folder: Path) -> None:
    """Takes away what is left beside `folder` by a run that put it in place and was killed right then."""
    try:
        place = resolved(folder)
        work = _beside(place)
        if place.exists() and work.is_dir() and not (work / "model").exists():
            _, lock = _taken(place, folder, resume=False)
            _clear(work, place, [])
            if lock is not None:
                os.close(lock)
    except (OSError, SurgeryError):
        return


def _beside(place: Path) -> Path:
    return place.with_name(f".surgery-{hashlib.sha256(os.fsencode(place.name)).hexdigest()[:12]}")


def _taken(place: Path, folder: Path, resume: bool) -> tuple[Path, int | None]:
    """The folder to work in, this run's alone, and what to close in the end.

    Where files cannot be locked it is one that no other run finds.
    """
    try:
        while True:
            work = _beside(place)
            work.mkdir(parents=True, exist_ok=True)
            try:
                return work, _locked(work / "lock", folder)
            except FileNotFoundError:  # the run that had it took it away just now
                continue
            except OSError as error:
                if error.errno not in _NO_LOCKS:
                    raise
                if resume:
                    raise SurgeryError(
                        "files cannot be locked here, so no run can be gone on with", path=str(folder)
                    ) from None
                _clear(work, place, [])
                work = place.with_name(f".surgery-{secrets.token_hex(6)}")
                work.mkdir(parents=True)
                return work, None
    except OSError as error:
        raise _not_written(folder, error) from None


def _locked(file: Path, folder: Path) -> int:
    """A descriptor that holds the lock. FileNotFoundError if the file is gone by the time it is held."""
    try:
        import fcntl
    except ImportError:
        raise OSError(errno.ENOSYS, "no locks") from None
    handle = os.open(file, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if not os.path.samestat(os.fstat(handle), os.stat(file)):
            raise FileNotFoundError(file)
    except BlockingIOError:
        os.close(handle)
        raise SurgeryError(
            "another run is writing to this place", path=str(folder), hint="another folder, or waiting for it"
        ) from None
    except BaseException:
        os.close(handle)
        raise
    return handle


def _recover(work: Path, place: Path) -> None:
    """If a run was killed between two renames, what was in place before is there again."""
    aside = work / "old"
    if aside.exists() and not place.exists():
        os.rename(aside, place)
    shutil.rmtree(aside, ignore_errors=True)


def _not_written(folder: Path, error: OSError) -> SurgeryError:
    reason = error.strerror or str(error)
    return SurgeryError(f"could not be written, and nothing was changed: {reason}", path=str(folder))


def _stopped(folder: Path, count: int) -> str:
    files = "1 file of weights is" if count == 1 else f"{count} files of weights are"
    return (
        f"{folder}: stopped, and nothing is there yet; {files} whole and kept beside it. "
        "Try: the same with `--resume` (`resume=True`)."
    )


def _clear(work: Path, place: Path, above: list[Path]) -> None:
    """Takes away the folder that was worked in, and folders that were made for it and are empty."""
    if (work / "old").exists() and not place.exists():
        return  # what was there could not be put back: it is never deleted
    gone = work.with_name(f"{work.name}-{secrets.token_hex(4)}")
    try:
        os.rename(work, gone)  # whoever comes next, once the lock is free, begins in a folder of its own
    except OSError:
        gone = work
    try:
        shutil.rmtree(gone, ignore_errors=True)
    finally:
        shutil.rmtree(gone, ignore_errors=True)  # if the first time was interrupted
    for parent in above:
        with suppress(OSError):
            parent.rmdir()
