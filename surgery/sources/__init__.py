"""From what a user has to a module with example inputs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from surgery.errors import SurgeryError
from surgery.session import Session


@dataclass(frozen=True)
class Opened:
    """A model with what came along: example inputs, tokenizer, and where it was.

    `rebuild` says how the structure is made without weights: see `surgery.checkpoint.structure`.
    """

    model: nn.Module
    name: str
    source: str | None = None
    inputs: Any = None
    tokenizer: Any = None
    rebuild: dict[str, Any] | None = None


def open(
    source: str | Path | nn.Module,
    inputs: Any = None,
    *,
    skeleton: bool = False,
    into: nn.Module | None = None,
) -> Session:
    """A session on a model.

    `source`: a module; a transformers folder or hub id; a folder that `s.save` wrote; `"demo"`, the
    demonstration decoder; or a weights file (safetensors, or a pickle read weights-only) to be put
    `into` a given module. `inputs`: example inputs (a tensor, a tuple of positional or a dict of
    keyword arguments) for the trace; made from the config for transformers decoders. `skeleton`: no
    weights, only structure. Raises SurgeryError for what cannot be opened.
    """
    return Session(opened(source, inputs, skeleton=skeleton, into=into))


def opened(
    source: str | Path | nn.Module,
    inputs: Any = None,
    *,
    skeleton: bool = False,
    into: nn.Module | None = None,
) -> Opened:
    """What `open` makes a session of."""
    from surgery.demo import DECODER
    from surgery.sources.module import from_module
    from surgery.sources.transformers import from_folder, from_hub
    from surgery.sources.weights import with_weights

    if isinstance(source, nn.Module):
        return from_module(source, inputs)
    if into is not None:
        return from_module(with_weights(into, Path(source)), inputs, source=str(source))
    if str(source) == "demo":
        return from_folder(DECODER, inputs, skeleton=skeleton, source="demo")
    place = Path(source).expanduser()
    if place.is_dir():
        return from_folder(place, inputs, skeleton=skeleton, source=str(place.resolve()))
    if place.exists():
        return _refused_file(place)
    if str(source).startswith(("/", ".", "~")) or str(source).count("/") > 1:
        raise SurgeryError("there is no such folder", path=str(source))
    return from_hub(str(source), inputs, skeleton=skeleton)


def _refused_file(place: Path) -> Opened:
    raise SurgeryError(
        "a weights file alone does not say what the model is",
        path=str(place),
        hint="`surgery.open(file, into=module)`, or the folder it lies in",
    )
