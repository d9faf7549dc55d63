"""From what a user has to a module with example inputs."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import nn

from surgery import fence
from surgery.errors import SurgeryError
from surgery.sources.opened import Opened

if TYPE_CHECKING:
    from surgery.session import Session

__all__ = ["Opened", "open", "opened"]


def open(
    source: str | Path | nn.Module | Any,
    inputs: Any = None,
    *,
    skeleton: bool = False,
    into: nn.Module | None = None,
) -> Session:
    """A session on a model.

    `source`: a module; a transformers folder or hub id; a transformers config, as an object or a config.json,
    which gives a skeleton; a folder that `s.save` wrote; a timm folder or hub id; `"timm:NAME"` or
    `"torchvision:NAME"`, with random weights; a factory `"package.module:function"`, whose code is run;
    `"demo"`, the demonstration decoder, `"demo-cnn"` and `"demo-vit"`, its classifiers of digits; or a
    weights file (safetensors, or a pickle read weights-only) to be put `into` a given module. `inputs`:
    example inputs (a tensor, a tuple of positional or a dict of keyword arguments) for the trace; made here
    for models of transformers, timm and torchvision. `skeleton`: no weights, only structure. What should be
    known of how it was opened is `session.note`. Raises SurgeryError for what cannot be opened.
    """
    from surgery.session import Session

    return Session(opened(source, inputs, skeleton=skeleton, into=into))


def opened(
    source: str | Path | nn.Module | Any,
    inputs: Any = None,
    *,
    skeleton: bool = False,
    into: nn.Module | None = None,
) -> Opened:
    """What `open` makes a session of."""
    from surgery.sources.config import from_config, is_config
    from surgery.sources.module import from_module
    from surgery.sources.refused import no_source
    from surgery.sources.weights import with_weights

    if isinstance(source, nn.Module):
        return from_module(source, inputs, skeleton=skeleton)
    if is_config(source):
        return from_config(source, inputs)
    if not isinstance(source, str | Path) or not str(source):
        raise no_source(source)
    if into is not None:
        module = with_weights(into, fence.reading(Path(source).expanduser()), skeleton=skeleton)
        return from_module(module, inputs, source=str(source))
    if isinstance(source, str) and (found := _named(source, inputs, skeleton)):
        return found
    return _placed(source, inputs, skeleton)


def _named(source: str, inputs: Any, skeleton: bool) -> Opened | None:
    """What is opened by a name that is no place; None if `source` is not written so."""
    from surgery.calibration.default import digits_for
    from surgery.demo import FOLDERS, cnn
    from surgery.demo.digits import held_out
    from surgery.sources.factory import from_factory
    from surgery.sources.module import from_module
    from surgery.sources.names import is_factory, is_library_name
    from surgery.sources.transformers import from_folder
    from surgery.sources.vision_libraries import from_library

    if source in FOLDERS:
        found = from_folder(FOLDERS[source], inputs, skeleton=skeleton, source=source)
        if source != "demo-vit":
            return found
        return replace(found, data=partial(digits_for, "pixel_values"), held_out=held_out)
    if source == "demo-cnn":
        model, images = cnn()
        example = images if inputs is None else inputs
        made = from_module(model, example, source=source, name=source, skeleton=skeleton)
        return replace(made, data=partial(digits_for, "images"), held_out=held_out)
    if is_library_name(source):
        return from_library(source, inputs, skeleton=skeleton)
    if is_factory(source):
        return from_factory(fence.naming(source, code=True), inputs, skeleton=skeleton)
    return None


def _placed(source: str | Path, inputs: Any, skeleton: bool) -> Opened:
    """What lies in a folder or file, or on the hub."""
    from surgery.checkpoint.hub import fetched, is_on_hub
    from surgery.sources.config import from_config_file, is_config_file
    from surgery.sources.refused import no_model_file
    from surgery.sources.transformers import from_folder, from_hub

    if is_on_hub(source):
        return from_folder(fetched(str(source)), inputs, skeleton=skeleton, source=str(source))
    try:
        place = fence.reading(Path(source).expanduser())
        if place.is_dir():
            fence.folder(place)
            return from_folder(place, inputs, skeleton=skeleton, source=str(place.resolve()))
        is_file = place.exists()
    except SurgeryError:
        raise
    except (OSError, RuntimeError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise SurgeryError(f"cannot be read: {reason}", path=str(source)[:80]) from None
    if is_file and is_config_file(place):
        return from_config_file(place, inputs)
    if is_file:
        raise no_model_file(place)
    if isinstance(source, Path) or source.startswith(("/", ".", "~")) or source.count("/") > 1:
        raise SurgeryError("there is no such folder", path=str(source))
    return from_hub(source, inputs, skeleton=skeleton)
