"""timm and torchvision, where they are installed: models by name, and folders as timm writes them."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import nn

from graph.paths import nearest
from surgery.errors import SurgeryError
from surgery.sources.factory import built
from surgery.sources.module import from_module
from surgery.sources.opened import Opened

_RANDOM = (
    "Its weights are random: a name says what is built, not what was learned. Try: `timm/NAME` from the hub, "
    "or `surgery.open(file, into=module)`."
)


def from_library(source: str, inputs: Any = None, *, skeleton: bool = False) -> Opened:
    """The model called `timm:NAME` or `torchvision:NAME`: nothing is fetched, its weights are random.

    They are drawn from a fixed seed, so that a script replays on them. With `skeleton` there are none.
    """
    library, _, name = source.partition(":")
    make = _maker(library, name, source)
    made = _without_weights(source, make) if skeleton else built(source, make, skeleton=False)
    made.eval()
    note = None if skeleton else _RANDOM
    return from_module(made, inputs, source=source, name=name, skeleton=skeleton, note=note)


def _maker(library: str, name: str, source: str) -> Callable[[], nn.Module]:
    package = _installed(library, source)
    if library == "timm":
        _refuse_unknown(name, package.is_model(name), package.list_models(), source)
        return lambda: package.create_model(name, pretrained=False)
    models = importlib.import_module("torchvision.models")
    known = models.list_models()
    _refuse_unknown(name, name in known, known, source)
    builder = models.get_model_builder(name)
    # Models of detection and segmentation fetch the weights of their backbone unless told not to.
    fetched = [key for key in ("weights", "weights_backbone") if key in inspect.signature(builder).parameters]
    return lambda: builder(**dict.fromkeys(fetched))


def _without_weights(source: str, make: Callable[[], nn.Module]) -> nn.Module:
    """Parameters on meta where that can be: some models read theirs while they are built."""
    try:
        model: nn.Module = built(source, make, skeleton=True)
    except SurgeryError:
        model = built(source, make, skeleton=False)
    return model


def _refuse_unknown(name: str, known: bool, names: list[str], source: str) -> None:
    if not known:
        near = nearest(name, names)
        hint = f"`{source.partition(':')[0]}:{near[0]}`" if near else None
        raise SurgeryError("no model is called so", path=source, hint=hint)


def _installed(library: str, where: str) -> ModuleType:
    try:
        return importlib.import_module(library)
    except ImportError as error:
        problem = (
            "is not installed" if getattr(error, "name", "") == library else f"cannot be imported: {error}"
        )
        raise SurgeryError(f"{library} {problem}", path=where, hint=f"`pip install {library}`") from None
    except RuntimeError as error:  # torchvision beside another build of torch
        raise SurgeryError(
            f"{library} does not fit the installed torch: {error}",
            path=where,
            hint=f"the build of {library} made for torch {torch.__version__}",
        ) from None


def is_timm_config(config: dict[str, Any]) -> bool:
    """Whether a config.json is timm's."""
    return isinstance(config.get("architecture"), str) and isinstance(config.get("pretrained_cfg"), dict)


def from_timm_folder(
    folder: Path,
    config: dict[str, Any],
    inputs: Any = None,
    *,
    skeleton: bool = False,
    source: str,
    note: str | None = None,
) -> Opened:
    """The model in a folder or hub repository of timm: its architecture with the weights from safetensors."""
    from surgery.checkpoint.load import fill
    from surgery.checkpoint.tensors import Checkpoint

    timm, name = _installed("timm", source), config["architecture"]
    where = str(folder / "config.json")
    _refuse_unknown(name, timm.is_model(name), [], where)  # so no scheme that fetches something
    options = config.get("model_args") or {}
    if not isinstance(options, dict):
        raise SurgeryError("model_args is no object", path=where, got=type(options).__name__)
    if own := sorted(options.keys() & inspect.signature(timm.create_model).parameters.keys()):
        raise SurgeryError("model_args sets what a model does not decide", path=where, got=own[0])
    if isinstance(config.get("num_classes"), int):
        options = {"num_classes": config["num_classes"], **options}
    checkpoint = None if skeleton else Checkpoint.at(folder)
    made = _without_weights(source, lambda: timm.create_model(name, pretrained=False, **options))
    if checkpoint is not None:
        fill(made, checkpoint)
    made.eval()
    return from_module(made, inputs, source=source, name=folder.name, skeleton=skeleton, note=note)
