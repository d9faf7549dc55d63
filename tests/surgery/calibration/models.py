"""Small models, batches for them, and what their layers are given, heard in the plainest way."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

import surgery
from surgery.calibration.layers import Layer, layers_of
from surgery.fields import Targets
from surgery.selecting import resolved
from tests.zoo import ATLAS


def text(count: int = 3, rows: int = 2, length: int = 12, *, padded: bool = True) -> list[dict[str, Tensor]]:
    """Batches of tokens, of which some windows are padded at their end."""
    generator = torch.Generator().manual_seed(1)
    made = []
    for number in range(count):
        ids = torch.randint(3, 60, (rows, length), generator=generator)
        mask = torch.ones_like(ids)
        if padded:
            mask[0, length - 2 * number - 1 :] = 0
        made.append({"input_ids": ids, "attention_mask": mask})
    return made


def session_of(name: str, data: Sequence[Any] | None = None) -> surgery.Session:
    """A session on a model of the zoo, with these batches."""
    session = surgery.open(*ATLAS[name]())
    session.data = text() if data is None else data
    return session


def layers_at(session: surgery.Session, select: str) -> list[Layer]:
    """The layers that a selector gives."""
    return layers_of(session.patient, resolved(Targets(select), session.model), "this")


def given_to(model: nn.Module, path: str, batches: Sequence[Any]) -> Tensor:
    """All that the layer at `path` is given, padding left out, (tokens, width) float64."""
    heard: list[Tensor] = []
    hook = model.get_submodule(path).register_forward_pre_hook(lambda _, args: heard.append(args[0].detach()))
    found = []
    with torch.no_grad():
        for batch in batches:
            model(**batch)
            for states in heard:
                found.append(states[batch["attention_mask"].bool()])
            heard.clear()
    hook.remove()
    return torch.cat(found).double()
