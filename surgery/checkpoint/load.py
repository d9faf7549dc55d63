"""Loading a folder that `s.save` wrote."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from torch import nn

from surgery import fence
from surgery.checkpoint.manifest import read_manifest
from surgery.checkpoint.pretrained import pretrained
from surgery.checkpoint.structure import rebuilt
from surgery.checkpoint.tensors import Checkpoint, read_tensor
from surgery.errors import SurgeryError
from surgery.fingerprint import Fingerprinter
from surgery.sources.notes import in_one_line


def load(folder: str | Path, into: nn.Module | None = None) -> nn.Module:
    """The model in a folder that `s.save` wrote, ready to run.

    An ordinary result is loaded by transformers; for others the structure is made anew from config and
    script on a skeleton, then the tensors are loaded. The content must have the fingerprint that the
    save noted. `into`: for a model that is no transformers model, a module like the one that was opened;
    it is not changed.
    """
    place = fence.folder(Path(folder).expanduser())
    manifest = read_manifest(place)
    if manifest.get("loads_with") == "transformers" and into is None:
        model = pretrained(manifest["class"], place)
    else:
        model = rebuilt(manifest["structure"], str(place), into)
        fill(model, Checkpoint.at(place))
    found = Fingerprinter()(model)
    if manifest["fingerprint"] not in (None, found):
        raise SurgeryError(
            "its content is not what was saved", path=str(place), got=found, expected=manifest["fingerprint"]
        )
    told = manifest.get("tensors")
    if manifest["fingerprint"] is None and told not in (None, Checkpoint.at(place).fingerprint()):
        raise SurgeryError("its tensors are not those that were saved", path=str(place), expected=told)
    _generation(model, place)
    set_trainable(model, manifest.get("frozen", []))
    return model.eval()


def set_trainable(model: nn.Module, frozen: Iterable[str] = ()) -> None:
    """Every floating-point parameter is trained but these, as where weights are loaded from a folder."""
    names = set(frozen)
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(name not in names and parameter.is_floating_point())


def _generation(model: Any, folder: Path) -> None:
    """The generation settings that were saved; a model built from its config has only its class's own."""
    if (folder / "generation_config.json").is_file() and hasattr(model, "generation_config"):
        from transformers import GenerationConfig

        try:
            model.generation_config = GenerationConfig.from_pretrained(folder)
        except Exception as error:
            raise SurgeryError(
                f"cannot be read: {in_one_line(error)}", path=str(folder / "generation_config.json")
            ) from None


def fill(model: nn.Module, checkpoint: Checkpoint) -> None:
    """Puts the stored tensors into the model's slots, one new Parameter for each tie.

    Names, shapes and dtypes must fit; SurgeryError otherwise.
    """
    made: dict[int, nn.Parameter] = {}
    wanted: set[str] = set()
    buffers: dict[int, tuple[torch.Tensor, torch.Tensor]] = {}
    for path, module in list(model.named_modules(remove_duplicate=False)):
        for name, parameter in list(module._parameters.items()):
            if parameter is None:
                continue
            full = f"{path}.{name}".lstrip(".")
            wanted.add(full)
            if id(parameter) not in made:
                tensor = _read(checkpoint, full, parameter)
                made[id(parameter)] = nn.Parameter(tensor, requires_grad=parameter.requires_grad)
                made[id(made[id(parameter)])] = made[id(parameter)]
            module._parameters[name] = made[id(parameter)]
        for name, buffer in list(module._buffers.items()):
            full = f"{path}.{name}".lstrip(".")
            if buffer is not None and name not in module._non_persistent_buffers_set:
                wanted.add(full)
                if id(buffer) not in buffers:
                    buffers[id(buffer)] = (buffer, _read(checkpoint, full, buffer))
                module._buffers[name] = buffers[id(buffer)][1]
    if extra := [name for name in checkpoint.names() if name not in wanted]:
        raise SurgeryError(
            "holds a tensor the model has no place for", path=str(checkpoint.folder), got=extra[0]
        )


def _read(checkpoint: Checkpoint, name: str, slot: torch.Tensor) -> torch.Tensor:
    entry = checkpoint.entry(name)
    if entry is None:
        raise SurgeryError("lacks a tensor of the model", path=str(checkpoint.folder), expected=name)
    if entry.shape != tuple(slot.shape) or entry.dtype != slot.dtype:
        raise SurgeryError(
            "does not fit the model",
            path=f"{checkpoint.folder}: {name}",
            got=f"{list(entry.shape)} {entry.dtype}",
            expected=f"{list(slot.shape)} {slot.dtype}",
        )
    return read_tensor(entry.file, entry.name)
