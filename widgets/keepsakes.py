"""What the studio remembers from one time to the next: steps nobody saved, and models opened lately."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from pathlib import Path

from jupyter_core.paths import jupyter_data_dir

from surgery.errors import SurgeryError
from surgery.whole_file import write_whole

MOST_RECENT = 12
FOLDER = "SURGERY_KEEPSAKES"
"""Where in the environment another folder may be said: each visitor of a server has one."""
AUTOSAVE = "SURGERY_AUTOSAVE"
"""The variable that names another folder for steps that were not saved."""


def folder() -> Path:
    """Where it lies: beside what Jupyter keeps of its own."""
    named = os.environ.get(FOLDER)
    return Path(named) if named else Path(jupyter_data_dir()) / "model-surgery"


def autosaves() -> Path:
    """The folder of steps that were not saved; see `surgery.autosave`."""
    named = os.environ.get(AUTOSAVE)
    return Path(named).expanduser() if named else folder() / "autosave"


def recent() -> list[str]:
    """Sources opened lately, the last one first; empty where nothing can be read."""
    try:
        found = json.loads((folder() / "recent.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return []
    return [item for item in found if isinstance(item, str)][:MOST_RECENT] if isinstance(found, list) else []


def remember(source: str | None) -> None:
    """Puts a source first; where nothing can be written nothing is remembered."""
    if source is None:
        return
    sources = [source, *(item for item in recent() if item != source)][:MOST_RECENT]
    with suppress(OSError, SurgeryError):
        folder().mkdir(parents=True, exist_ok=True)
        write_whole(folder() / "recent.json", json.dumps(sources), "the models opened lately")
