"""Two sessions compared: what is different between their models as they are now."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import torch
from torch import nn

from graph.diff import GraphDiff, diff
from graph.tree import is_lazy, join, own_tensors, walk
from surgery.errors import SurgeryError
from surgery.fingerprint import tensor_digest
from surgery.session import Session


def compare(before: Session, after: Session, *, weights: bool = False) -> GraphDiff:
    """What became of the model of `before` in the model of `after`, two sessions opened separately.

    `weights`: alike blocks are told apart by the values they hold, and changed values are listed; every
    parameter and buffer is read once. Raises SurgeryError for models without weights then.
    """
    digests = (value_digests(before.model), value_digests(after.model)) if weights else None
    return diff(before.graph, after.graph, digests=digests, same_base=False)


def compare_with_base(session: Session, *, weights: bool = False) -> GraphDiff:
    """What the steps of a session made of the model it opened; `weights` as in `compare`."""
    digests = None
    if weights:
        digests = value_digests(session.opened.model), value_digests(session.model)
    # Every step was traced with the state before it, so the base has a graph unless there is no step.
    base = session.history.base.graph or session.graph
    return diff(base, session.graph, digests=digests, same_base=True)


def value_digests(model: nn.Module) -> dict[str, str]:
    """The digest of every parameter and buffer by each of its paths; SurgeryError on meta tensors.

    Left out: what a lazy module hasn't made yet, and sparse tensors.
    """
    tensors: dict[int, torch.Tensor] = {}
    keys: dict[str, int] = {}
    for path, module in walk(model):
        for name, tensor, _ in own_tensors(module):
            if is_lazy(tensor) or tensor.layout != torch.strided:
                continue
            if tensor.is_meta:
                raise SurgeryError(
                    "a tensor without values cannot be compared",
                    path=join(path, name),
                    hint="a comparison without `weights`",
                )
            tensors[id(tensor)], keys[join(path, name)] = tensor, id(tensor)
    with ThreadPoolExecutor() as pool:
        digests = dict(zip(tensors, pool.map(tensor_digest, tensors.values()), strict=True))
    return {path: digests[key] for path, key in keys.items()}
