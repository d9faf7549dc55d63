"""A weights file put into a module somebody holds: safetensors, or a pickle read weights-only."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn

from graph.shell import shell
from surgery.errors import SurgeryError


def with_weights(module: nn.Module, file: Path) -> nn.Module:
    """A shell of `module` whose parameters are the file's; the module given keeps its own.

    A pickle is read with `weights_only=True`: anything but tensors in it is refused.
    """
    if not file.is_file():
        raise SurgeryError("the file is not there", path=str(file))
    state = _safetensors(file) if file.suffix == ".safetensors" else _weights_only(file)
    made = shell(module).model
    expected = made.state_dict()
    for name in sorted(expected.keys() ^ state.keys()):
        where = "the file lacks" if name in expected else "the module has no"
        raise SurgeryError(
            f"{where} {name}", path=str(file), expected=f"the tensors of {type(module).__name__}"
        )
    for name, tensor in state.items():
        if tensor.shape != expected[name].shape:
            raise SurgeryError(
                f"{name} does not fit",
                path=str(file),
                got=list(tensor.shape),
                expected=list(expected[name].shape),
            )
    made.load_state_dict(state, assign=True)
    return made.eval()


def _safetensors(file: Path) -> dict[str, torch.Tensor]:
    from surgery.checkpoint.tensors import Checkpoint, read_tensor

    checkpoint = Checkpoint.at(file)
    found = {name: checkpoint.entry(name) for name in checkpoint.names()}
    return {name: read_tensor(entry.file, entry.name) for name, entry in found.items() if entry}


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
