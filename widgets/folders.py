"""What lies in a folder that can be opened: models, weights, scripts, further folders."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from graph.units import short
from surgery import fence
from surgery.errors import SurgeryError
from surgery.keeping import memory_bytes

MOST_ENTRIES = 500
PART_OF_MEMORY = 0.7
"""Weights beyond this part of the machine's memory are left where they are: a skeleton is opened."""

_SCRIPT = ".surgery.json"


def listing(text: str) -> dict[str, Any]:
    """The folder a text names, and its entries, models first; SurgeryError for one that cannot be read.

    Behind a fence an empty text stands for the folders that may be read, listed together.
    """
    limits = fence.current()
    if limits is not None and not text:
        return _roots([*limits.read, *limits.write])
    folder = fence.reading(Path(text or ".").expanduser())
    try:
        folder = folder.resolve()
        found = sorted(folder.iterdir(), key=lambda place: place.name.lower())
        entries = [entry for place in found if not place.name.startswith(".") and (entry := _entry(place))]
    except (OSError, RuntimeError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise SurgeryError(f"the folder cannot be read: {reason}", path=str(folder)) from None
    order = ["model", "script", "folder"]
    entries.sort(key=lambda entry: order.index(entry["kind"]))
    above = [place for place in (folder, *folder.parents) if limits is None or limits.may_read(place)][::-1]
    return {
        "folder": str(folder),
        "parts": [*([] if limits is None else _ROOTS["parts"]), *map(_part, above)],
        "entries": entries[:MOST_ENTRIES],
        "hidden": max(0, len(entries) - MOST_ENTRIES),
        "here": _entry(folder) if is_model(folder) else None,
    }


_ROOTS: dict[str, Any] = {"folder": "", "parts": [{"name": "Folders", "path": ""}], "hidden": 0, "here": None}


def _part(place: Path) -> dict[str, str]:
    return {"name": place.name or str(place), "path": str(place)}


def _roots(folders: list[Path]) -> dict[str, Any]:
    places = list(dict.fromkeys(folders))
    entries = [entry for place in places if (entry := _entry(place)) is not None]
    return {**_ROOTS, "entries": entries}


def _entry(place: Path) -> dict[str, Any] | None:
    try:
        fence.reading(place)
        if place.is_dir():
            model = is_model(place)
            size = size_of(place) if model else 0
            return _row(place, "model" if model else "folder", size)
        if place.name.endswith(_SCRIPT):
            return _row(place, "script", 0)
    except (OSError, SurgeryError):
        pass
    return None


def _row(place: Path, kind: str, size_bytes: int) -> dict[str, Any]:
    return {
        "name": place.name or str(place),
        "path": str(place),
        "kind": kind,
        "detail": short(size_bytes, "B") if size_bytes else "",
        "fits": kind != "model" or size_bytes < PART_OF_MEMORY * memory_bytes(),
    }


def is_model(folder: Path) -> bool:
    """Whether it has a config, or weights as safetensors."""
    return (folder / "config.json").is_file() or any(folder.glob("*.safetensors"))


def size_of(folder: Path) -> int:
    """Bytes of its weights."""
    found = [*folder.glob("*.safetensors"), *folder.glob("pytorch_model*.bin")]
    return sum(place.stat().st_size for place in found)


def fits(source: str) -> bool:
    """Whether the weights of a folder have room in memory; of what is no folder nobody knows."""
    try:
        place = fence.reading(Path(source).expanduser())
        return not place.is_dir() or size_of(place) < PART_OF_MEMORY * memory_bytes()
    except (OSError, RuntimeError, ValueError, SurgeryError):
        return True
