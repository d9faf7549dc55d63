"""What a door asks before it opens something. Each answer is the place to open, or a refusal."""

from __future__ import annotations

import os
from pathlib import Path

from surgery.errors import SurgeryError
from surgery.fence.limits import Fence, Outside, current

MOST_ENTRIES = 100_000
"""Of a folder that is looked through for links; one with more is no model and no data set."""


def reading(place: str | Path) -> Path:
    """The place, if it may be read; links are followed. Refused without a word on whether it is there."""
    asked = Path(place)
    fence = current()
    if fence is not None and not fence.may_read(_true(asked)):
        raise _outside(asked, fence, "read", (*fence.read, *fence.write))
    return asked


def writing(place: str | Path) -> Path:
    """The place, if it may be written, made or replaced; links are followed.

    A folder of the fence is none itself: what replaces a place is first written beside it.
    """
    asked = Path(place)
    fence = current()
    if fence is not None and (not fence.may_write(true := _true(asked)) or true in fence.write):
        raise _outside(asked, fence, "write", fence.write)
    return asked


def folder(place: str | Path) -> Path:
    """The folder, or file, if it may be read with everything in it: for readers that ask for no file singly.

    A link in it that leads out of the fence is refused, wherever in the folder it is.
    """
    asked = reading(place)
    fence = current()
    if fence is None:
        return asked
    seen = 0
    for above, folders, files in os.walk(_true(asked)):
        for name in (*folders, *files):
            entry = Path(above, name)
            seen += 1
            if seen > MOST_ENTRIES:
                raise SurgeryError("holds too many files to be opened here", path=str(asked))
            if entry.is_symlink() and not fence.may_read(_true(entry)):
                raise _outside(
                    asked / entry.relative_to(_true(asked)), fence, "read", (*fence.read, *fence.write)
                )
    return asked


def naming(source: str, *, code: bool = False) -> str:
    """A source that is no place, if it may be opened: an id of the hub, or with `code` a factory."""
    fence = current()
    if fence is None or source in fence.names or (fence.hub and not code):
        return source
    if code:
        raise Outside(
            "names a factory, which is code, and none is run here", path=source, hint="a folder with a model"
        )
    raise Outside(
        "there is no such folder here, and nothing is fetched from the hub",
        path=source,
        expected=_listed(fence.read),
        hint="a folder of those, or starting the server with `--hub`",
    )


def _true(place: Path) -> Path:
    """Where a place is once every link is followed; SurgeryError where that is nowhere."""
    try:
        return place.expanduser().resolve()
    except (OSError, ValueError, RuntimeError) as error:  # a loop of links, a name no file can have
        raise SurgeryError(f"is no place: {error}", path=repr(str(place))[:80]) from None


def _outside(place: Path, fence: Fence, verb: str, folders: tuple[Path, ...]) -> Outside:
    return Outside(
        f"lies outside the folders that may be {'read' if verb == 'read' else 'written'} here",
        path=str(place)[:200],
        expected=_listed(folders),
    )


def _listed(folders: tuple[Path, ...]) -> str | None:
    places = list(dict.fromkeys(str(place) for place in folders))
    return f"a place in {' or '.join(places)}" if places else None
