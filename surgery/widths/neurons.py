"""The neurons of feed-forward layers: rows of what leads in, columns of what leads out."""

from __future__ import annotations

from collections.abc import Iterator

from torch import nn

from surgery.adapters.lora import is_linear, is_transposed
from surgery.model import Patient
from surgery.widths.part import Cut, Follow, Part, cut

# (what leads into the neurons, what leads out), by their names in the module that holds them.
_NAMES: tuple[tuple[tuple[str, ...], str], ...] = ((("gate_proj", "up_proj"), "down_proj"),)


def neurons(patient: Patient) -> list[Part]:
    """The feed-forward layers of the model."""
    parts = []
    for path, module in patient.root.named_modules(remove_duplicate=False):
        for into, out in _NAMES:
            if all(is_linear(module._modules.get(name)) for name in (*into, out)):
                parts.append(_part(module, path, into, out))
    return parts


def _part(module: nn.Module, path: str, into: tuple[str, ...], out: str) -> Part:
    around = f"{path}." if path else ""
    cuts: list[Cut] = []
    follows: list[Follow] = []
    for name in into:
        cuts += _outputs(module.get_submodule(name), around + name)
        follows.append(Follow(around + name, "out_features"))
    down = module.get_submodule(out)
    cuts.append(cut(f"{around}{out}.weight", 0 if is_transposed(down) else 1))
    follows.append(Follow(around + out, "in_features"))
    count = int(module.get_submodule(into[0]).get_parameter("weight").shape[0])
    return Part(
        path=path, count=count, cuts=tuple(cuts), follows=tuple(follows), config=(("intermediate_size", 1),)
    )


def _outputs(module: nn.Module, path: str) -> Iterator[Cut]:
    yield cut(f"{path}.weight", 1 if is_transposed(module) else 0)
    if module._parameters.get("bias") is not None:
        yield cut(f"{path}.bias", 0)
