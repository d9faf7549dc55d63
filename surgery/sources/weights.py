"""A weights file put into a module somebody holds: safetensors, or a pickle read weights-only."""

from __future__ import annotations

import tempfile
from pathlib import Path

import torch
from torch import nn

from surgery.errors import SurgeryError
from surgery.model import private_shell
from surgery.runs import on_meta


def with_weights(module: nn.Module, file: Path, *, skeleton: bool = False) -> nn.Module:
    """A shell of `module` whose parameters are the file's; the module given keeps its own.

    Ties of the module stay ties. A pickle is read with `weights_only=True`: anything but tensors in it is
    refused. Names, shapes and dtypes must be the module's. With `skeleton` the file is not read and the
    parameters are on meta.
    """
    from surgery.checkpoint.load import fill
    from surgery.checkpoint.tensors import Checkpoint

    if not file.is_file():
        raise SurgeryError("the file is not there", path=str(file))
    if skeleton:
        return private_shell(module, parameter=on_meta)
    made = private_shell(module)
    if file.suffix == ".safetensors":
        fill(made, Checkpoint.at(file))
        return made.eval()
    with tempfile.TemporaryDirectory() as folder:  # one way of filling slots, whatever the file was
        fill(made, Checkpoint.at(_as_safetensors(_weights_only(file), Path(folder))))
    return made.eval()


def _as_safetensors(state: dict[str, torch.Tensor], folder: Path) -> Path:
    from safetensors.torch import save_file

    place = folder / "model.safetensors"
    save_file({name: tensor.clone().contiguous() for name, tensor in state.items()}, place)
    return place


def _weights_only(file: Path) -> dict[str, torch.Tensor]:
    try:
        state = torch.load(file, map_location="cpu", weights_only=True)
    except Exception:
        raise SurgeryError(
            "is neither safetensors nor a pickle of weights alone, and anything else is never unpickled",
            path=str(file),
            hint="saving `module.state_dict()` with `safetensors.torch.save_file`",
        ) from None
    if not isinstance(state, dict) or not all(isinstance(value, torch.Tensor) for value in state.values()):
        raise SurgeryError("holds no state_dict", path=str(file), expected="names and tensors")
    return state
