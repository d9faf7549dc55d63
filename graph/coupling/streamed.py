"""Residual streams: the same labels, carried through norms and lookups, where entries are to go for good."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode

from graph.coupling.following import Flow
from graph.coupling.labels import Labels
from graph.coupling.rules import REORDERED, Dims, Rule, rule_of
from graph.tracing.fakes import tensors_in
from graph.tree import module_at

_LOOKUPS = frozenset({"embedding", "index_select", "index"})
_BESIDE = frozenset(
    {"last_hidden_state", "encoder_last_hidden_state", "hidden_states", "encoder_hidden_states"}
    | {"decoder_hidden_states", "pooler_output", "text_model_output", "vision_model_output"}
)
"""What transformers hands out of a model's inside, beside what its head makes."""
_HEADS = ("logits", "_embeds")


class Streamed(Flow):
    """Carries labels through the norms at the paths `norms`, whose reader knows how to cut them.

    The mean and spread a norm takes are of all entries, so that fewer of them mean another gain: whoever cuts
    sees to it. Where a model has a head, what it also hands out of its inside gets narrower with it.
    """

    def __init__(self, model: nn.Module, mode: FakeTensorMode, norms: Sequence[str]) -> None:
        super().__init__(model, mode)
        self._inside = 0
        self._unread: dict[int, Labels] = {}
        """Of an entry that was selected: all that it was among, which stay once somebody reads it."""
        for module in {id(found): found for found in (module_at(model, path) for path in norms)}.values():
            module.register_forward_pre_hook(self._enter)
            module.register_forward_hook(self._leave)

    def _enter(self, *_: Any) -> None:
        self._inside += 1

    def _leave(self, *_: Any) -> None:
        self._inside -= 1

    def rule_of(self, func: Any) -> Rule | None:
        name = func._schema.name.removeprefix("aten::")
        if self._inside or name in _LOOKUPS:
            return REORDERED.get(name) or rule_of(func)
        return rule_of(func)

    def _carried(self, func: Any, args: Any, kwargs: Any, made: list[torch.Tensor]) -> list[Dims]:
        for tensor in tensors_in((args, kwargs)):
            self.joined.fix(self._unread.pop(id(tensor), None))
        if func.overloadpacket is not torch.ops.aten.select:
            return super()._carried(func, args, kwargs, made)
        x = self.labelled(args[0])
        place = args[1] % len(x.shape)
        self._unread[id(made[0])] = x.dims[place]  # BART does so for the shape of what is left
        return [[*x.dims[:place], *x.dims[place + 1 :]]]

    def returned(self, result: Any) -> None:
        """What comes out stays, as far as it is what the model is for."""
        for tensor in _made(result):
            self.joined.fix(self._unread.get(id(tensor)), *self.labelled(tensor).dims)


def _made(result: Any) -> list[torch.Tensor]:
    """The tensors that the model's head made; all that came out where it has none."""
    if isinstance(result, Mapping) and any(str(name).endswith(_HEADS) for name in result):
        result = [value for name, value in result.items() if name not in _BESIDE]
    return tensors_in(result)
