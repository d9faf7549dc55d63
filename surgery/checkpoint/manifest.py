"""`surgery.json`: what a folder that was saved holds, and how it loads."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from surgery.errors import SurgeryError

MANIFEST = "surgery.json"
SCRIPT = "edits.surgery.json"
FORMAT, VERSION = "surgery-model", 1


def is_saved(folder: Path) -> bool:
    """Whether `s.save` wrote this folder."""
    return (folder / MANIFEST).is_file()


def read_manifest(folder: Path) -> dict[str, Any]:
    """The folder's `surgery.json`; SurgeryError if it is none or of another version."""
    file = folder / MANIFEST
    try:
        data = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        raise SurgeryError(
            "holds no model that surgery saved",
            path=str(folder),
            expected=MANIFEST,
            hint="`surgery.open(folder)`",
        ) from None
    if not isinstance(data, dict) or data.get("format") != FORMAT:
        raise SurgeryError("is no manifest of a saved model", path=str(file))
    if data.get("version") != VERSION:
        raise SurgeryError(
            "has a version this release cannot read",
            path=str(file),
            got=data.get("version"),
            expected=VERSION,
        )
    if missing := sorted({"structure", "fingerprint", "class"} - data.keys()):
        raise SurgeryError(f"lacks {missing[0]!r}", path=str(file))
    structure = data["structure"]
    if not isinstance(structure, dict) or not {"class", "config", "steps"} <= structure.keys():
        raise SurgeryError("does not say how its structure is made", path=str(file))
    return data


def write_manifest(folder: Path, said: dict[str, Any]) -> None:
    """Writes the manifest of a folder that has all else already."""
    files = sorted([*(entry.name for entry in folder.iterdir()), MANIFEST])
    manifest = {"format": FORMAT, "version": VERSION, **said, "files": files}
    (folder / MANIFEST).write_text(json.dumps(manifest, indent=1, default=str), encoding="utf-8")


def refuse_source(folder: Path, source: Path | None) -> None:
    """SurgeryError if `folder`, to be written, is the one that the weights are read from."""
    if source is not None and folder.resolve() == source.resolve():
        raise SurgeryError(
            "is the folder that the weights are read from", path=str(folder), hint="another folder"
        )


def may_write(folder: Path, overwrite: bool) -> None:
    """SurgeryError unless `folder` is free, or holds what a save wrote and may be replaced."""
    try:
        if not folder.exists():
            return
        if not folder.is_dir():
            raise SurgeryError("is a file", path=str(folder), expected="a folder")
        present = {entry.name for entry in folder.iterdir()}
    except OSError as error:
        raise SurgeryError(f"cannot be looked into: {error.strerror}", path=str(folder)) from None
    if not present:
        return
    if not overwrite:
        raise SurgeryError(
            "exists and is not empty",
            path=str(folder),
            hint="another folder, or `overwrite=True` (`--overwrite` in the command)",
        )
    if strangers := sorted(present - _written(folder)):
        raise SurgeryError(
            "holds something that no save of a model wrote",
            path=str(folder),
            got=strangers[0],
            hint="another folder",
        )


def _written(folder: Path) -> set[str]:
    """The names a save wrote into this folder, as its manifest says."""
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        return set(manifest["files"]) if manifest["format"] == FORMAT else set()
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return set()
