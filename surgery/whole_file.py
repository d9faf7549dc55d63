"""A text file that is written whole or not at all."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from surgery import fence
from surgery.errors import SurgeryError


def write_whole(path: str | Path, text: str, what: str) -> Path:
    """Writes `text` as UTF-8 under another name first; returns the path.

    `what` is what the file would have been, for SurgeryError where it cannot be written.
    """
    place = fence.writing(Path(path).expanduser())
    partial = place.with_name(f".{place.name}.partial")
    try:
        partial.write_text(text, encoding="utf-8", newline="\n")
        partial.replace(place)
    except OSError as error:
        with suppress(OSError):
            partial.unlink(missing_ok=True)
        raise unwritten(what, place, error) from None
    return place


def unwritten(what: str, place: Path, error: OSError) -> SurgeryError:
    """The refusal of a file that could not be written."""
    return SurgeryError(f"cannot write {what}: {error.strerror}", path=str(place))
