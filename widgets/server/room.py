"""The room of a kernel: a folder for what it writes unasked, gone with it, and what its process is told."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from surgery.fence import VARIABLE
from widgets.keepsakes import FOLDER as KEEPSAKES
from widgets.server.options import Options

MODEL, SCRIPT, DEVICE = "SURGERY_MODEL", "SURGERY_SCRIPT", "SURGERY_DEVICE"

_CACHES = ("IPYTHONDIR", "MPLCONFIGDIR", "TRITON_CACHE_DIR", "XDG_CACHE_HOME")
"""What libraries write unasked, by the variables that say where."""


class Room:
    """A folder of its own in `rooms`; behind a fence it has the visitor's keepsakes as well."""

    def __init__(self, rooms: Path, name: str, options: Options) -> None:
        self.rooms, self.options = rooms, options
        self.folder = rooms / name
        self.visitor: str | None = None

    def make(self) -> None:
        """The folder is there, for this user alone."""
        self.folder.mkdir(mode=0o700)

    @property
    def working_folder(self) -> Path:
        """Where paths mean what the user typed; behind a fence, where results go."""
        if not self.options.is_fenced:
            return Path.cwd()
        return self.folder if self.options.out is None else Path(self.options.out)

    def environment(self, outer: Mapping[str, str]) -> dict[str, str]:
        """That of the kernel, within that of the server."""
        told = {MODEL: self.options.model, SCRIPT: self.options.script, DEVICE: self.options.device}
        made = {key: value for key, value in outer.items() if key not in (*told, VARIABLE)}
        made |= {key: value for key, value in told.items() if value is not None}
        made |= {key: str(self.folder) for key in ("TMPDIR", "TEMP", "TMP")}
        made["PYDEVD_DISABLE_FILE_VALIDATION"] = "1"  # else each kernel greets the terminal
        own = [self.folder]
        if self.options.is_fenced:
            made |= {name: str(self.folder / name.lower()) for name in _CACHES}
            made[KEEPSAKES] = str(self.folder / "keepsakes")
            if self.options.hub:
                hub = Path(made.get("HF_HOME") or Path.home() / ".cache" / "huggingface")
                made["HF_HOME"] = str(hub)
                own.append(hub)
            else:
                made |= {"HF_HOME": str(self.folder / "hub"), "HF_HUB_OFFLINE": "1"}
        if fence := self.options.fence(*own):
            made[VARIABLE] = fence.to_text()
        return made

    def let(self, visitor: str) -> None:
        """It is this visitor's from now on; what was kept of earlier visits is there again."""
        self.visitor = visitor
        with suppress(OSError):  # the first visit
            os.rename(self._kept(visitor), self.folder / "keepsakes")

    def clear(self) -> None:
        """Nothing is left of it but the visitor's keepsakes, for as long as the server runs."""
        if self.visitor is not None and (self.folder / "keepsakes").is_dir():
            kept = self._kept(self.visitor)
            shutil.rmtree(kept, ignore_errors=True)
            with suppress(OSError):
                kept.parent.mkdir(exist_ok=True)
                os.rename(self.folder / "keepsakes", kept)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _kept(self, visitor: str) -> Path:
        return self.rooms / "kept" / hashlib.sha256(visitor.encode()).hexdigest()[:32]
