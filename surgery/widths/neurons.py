"""The neurons of feed-forward layers: rows of what leads in, columns of what leads out."""

from __future__ import annotations

from typing import Any

from torch import nn

from surgery.model import Patient
from surgery.widths.linear import Linear, linears
from surgery.widths.part import Cut, Follow, Part, behind_one_another

# What leads into the neurons, how many values it has for each, and what leads out: names of children.
_NAMES: tuple[tuple[tuple[str, ...], int, str], ...] = (
    (("gate_proj", "up_proj"), 1, "down_proj"),
    (("gate_up_proj",), 2, "down_proj"),  # all gates, then all the rest
    (("c_fc",), 1, "c_proj"),
    (("dense_h_to_4h",), 1, "dense_4h_to_h"),
    (("fc1",), 1, "fc2"),
    (("lin1",), 1, "lin2"),
    (("wi",), 1, "wo"),
    (("wi_0", "wi_1"), 1, "wo"),
    (("linear1",), 1, "linear2"),
    (("intermediate.dense",), 1, "output.dense"),
)
_LEADING_OUT = frozenset(name.partition(".")[0] for _, _, name in _NAMES)
# Attributes of the module around them that repeat how many neurons there are.
_ATTRIBUTES = (
    "intermediate_size",
    "intermediate_dim",
    "ffn_dim",
    "ffn_hidden_size",
    "dim_feedforward",
    "d_ff",
    "hidden_features",
)
_AMONG_ALL = "lets neurons through by the mean and spread of all, and with fewer or more it would let others"
# The config's name for it: of an encoder with a decoder, then of any other.
_OF_ENCODER, _OF_DECODER = "encoder_ffn_dim", "decoder_ffn_dim"
_CONFIG = ("intermediate_size", "n_inner", "ffn_hidden_size", "ffn_dim", "hidden_dim", "d_ff")


def neurons(patient: Patient) -> list[Part]:
    """The feed-forward layers of the model: children of known names whose widths fit each other."""
    parts, called = [], _ConfigNames(patient.config)
    for path, module, _, _ in patient.places:
        if not module._modules or _LEADING_OUT.isdisjoint(module._modules):
            continue
        for names, times, name in _NAMES:
            if name.partition(".")[0] not in module._modules:
                continue
            into, out = linears(path, module, names), Linear.at(path, module, name)
            if into and out and all(linear.outputs == times * out.inputs for linear in into):
                parts.append(_part(module, path, into, times, out, called.at(path)))
    return parts


def _part(
    module: nn.Module, path: str, into: list[Linear], times: int, out: Linear, name: str | None
) -> Part:
    count = out.inputs
    cuts: list[Cut] = []
    follows: list[Follow] = []
    sections = behind_one_another(count, (1,) * times)
    for linear in into:
        cuts += linear.along_outputs(*sections)
        follows.append(linear.follow_outputs(times))
    cuts += out.along_inputs((0, 1))
    follows.append(out.follow_inputs(1))
    follows += [Follow(path, name) for name in _ATTRIBUTES if module.__dict__.get(name) == count]
    return Part(
        path=path,
        count=count,
        cuts=tuple(cuts),
        follows=tuple(follows),
        config=((name, 1),) if name else (),
        refused=_AMONG_ALL if module.__dict__.get("activation_sparsity") else "",
    )


class _ConfigNames:
    """What a config calls the number of neurons; it is slow to ask, and most paths are of one kind."""

    def __init__(self, config: Any) -> None:
        self.config = config
        self.known: dict[tuple[bool, bool], str | None] = {}

    def at(self, path: str) -> str | None:
        """Its name for that at `path`; None if it has none."""
        if "expert" in path:  # goes by a number of its own
            return None
        parts = path.split(".")
        kind = "decoder" in parts, "encoder" in parts
        if kind not in self.known:
            self.known[kind] = self.of(*kind)
        return self.known[kind]

    def of(self, in_decoder: bool, in_encoder: bool) -> str | None:
        """Its name for that of a decoder with an encoder, of such an encoder, or of neither."""
        if in_decoder and hasattr(self.config, _OF_DECODER):
            return _OF_DECODER
        if in_encoder and hasattr(self.config, _OF_ENCODER):
            return _OF_ENCODER
        return next((name for name in _CONFIG if hasattr(self.config, name)), None)
