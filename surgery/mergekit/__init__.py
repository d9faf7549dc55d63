"""mergekit's YAML files as scripts: read unchanged, every key honoured or refused by its name.

A method of mergekit is a step of ours, or several where its parameters hang on the names of tensors. The
model that a session is opened on is the file's `base_model`, or its first model where it names none.

What agrees with mergekit's own results, and what differs and why, is in `surgery.mergekit.agreement`.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import nn

    from surgery.script import Script

__all__ = ["is_file", "read", "script_in"]


def is_file(path: object) -> bool:
    """Whether a path has the name of a YAML file."""
    return isinstance(path, str | Path) and Path(path).suffix.lower() in (".yml", ".yaml")


def script_in(path: str | Path, model: str | Path | nn.Module | None = None) -> Script:
    """The script in a file of either kind, an edit script or one of mergekit; see `read` for `model`."""
    from surgery.script import Script

    return read(path, model) if is_file(path) else Script.read(path)


def read(path: str | Path, model: str | Path | nn.Module | None = None) -> Script:
    """The script that does what a mergekit file says; its base is of no class and content yet.

    `model`: what stands in for the file's base, or for its first model where it has no base. Folders are
    relative to the working directory. Raises SurgeryError naming what the file has that is unknown, missing
    or can't be honoured; a SurgeryWarning says what has no effect.
    """
    from surgery.errors import SurgeryError, SurgeryWarning
    from surgery.mergekit.config import merge_file
    from surgery.mergekit.translating import script_of
    from surgery.mergekit.yaml_file import load

    place = Path(path).expanduser()
    data = load(place)
    try:
        script, notes = script_of(merge_file(data), model)
    except SurgeryError as error:
        where = f"{path}: {error.path}" if error.path else str(path)
        raise SurgeryError(
            error.problem, path=where, got=error.got, expected=error.expected, hint=error.hint
        ) from None
    for note in notes:
        warnings.warn(f"{path}: {note}", SurgeryWarning, stacklevel=2)
    return script
