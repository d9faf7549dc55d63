"""The second line of the fence: the interpreter itself asks before a file is opened, whoever forgot to.

It sees what Python opens, lists, makes, moves and removes; native code (safetensors, tokenizers, arrow) and
other programs it does not see, so the doors stay the first line. What Python, its packages and the system
need to run may be read beside what the fence allows.
"""

from __future__ import annotations

import os
import sys
import sysconfig
from collections.abc import Callable
from pathlib import Path
from typing import Any

from surgery.fence.limits import PRODUCT, Fence, Outside

_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_SYSTEM = ("/usr", "/lib", "/lib64", "/bin", "/etc", "/proc", "/sys", "/dev", "/System", "/Library")
_DEVICES = ("/dev", "/proc/self")

# Events that change something: which of their arguments are paths, and which the folders these start from.
_CHANGES: dict[str, tuple[tuple[int, int | None], ...]] = {
    "os.mkdir": ((0, 2),),
    "os.remove": ((0, 1),),
    "os.rmdir": ((0, 1),),
    "os.rename": ((0, 2), (1, 3)),
    "os.link": ((0, 2), (1, 3)),
    "os.symlink": ((1, 2),),
    "os.truncate": ((0, None),),
    "os.chmod": ((0, 2),),
    "os.chown": ((0, 3),),
    "os.utime": ((0, 3),),
    "os.setxattr": ((0, None),),
    "os.removexattr": ((0, None),),
}
_LISTS = ("os.listdir", "os.scandir", "os.chdir")


def listen(fence: Fence) -> None:
    """From now on this process is refused what the fence does not allow. It cannot be taken back."""
    sys.addaudithook(asking(fence))


def asking(fence: Fence) -> Callable[[str, tuple[Any, ...]], None]:
    """The hook that holds the fence."""
    reads, writes = Fence.of((*_needed(), *fence.read), fence.write, fence.own), fence.write + fence.own
    held = Fence(reads.read, (*writes, *map(Path, _DEVICES)))

    def check(place: Any, change: bool, at: Any = None) -> None:
        if place is None or isinstance(place, int):  # of the working folder, or opened before
            return
        try:
            path = Path(os.fsdecode(place))
            if isinstance(at, int) and at >= 0 and not path.is_absolute():
                return  # in a folder that was opened before
            true = Path(os.path.realpath(path))
        except (TypeError, ValueError, OSError):
            return  # no path: what opens it will say so
        if not (held.may_write(true) if change else held.may_read(true)):
            raise Outside(f"may not be {'changed' if change else 'read'} here", path=str(path)[:200])

    def hook(event: str, args: tuple[Any, ...]) -> None:
        if event == "open":
            place, mode, flags = (*args, None, None, None)[:3]
            check(place, _changes(mode, flags))
        elif event in _LISTS:
            check(args[0] if args else None, False)
        elif event in _CHANGES:
            for index, at in _CHANGES[event]:
                check(args[index], True, None if at is None or at >= len(args) else args[at])

    return hook


def _changes(mode: Any, flags: Any) -> bool:
    if isinstance(mode, str):
        return any(letter in mode for letter in "wax+")
    return isinstance(flags, int) and bool(flags & _WRITING)


def _needed() -> tuple[str | Path, ...]:
    """What Python reads to run, now and when it imports more."""
    places = {*sysconfig.get_paths().values(), sys.prefix, sys.base_prefix, sys.exec_prefix}
    places |= {place for place in sys.path if place and Path(place).exists() and place != os.getcwd()}
    return (*_SYSTEM, PRODUCT, PRODUCT.parent / "graph", PRODUCT.parent / "widgets", *sorted(places))
