"""Modules whose weights torch reads without calling them: what stands in their place would have no effect."""

from __future__ import annotations

from collections.abc import Iterator

from torch import nn

from surgery.errors import SurgeryError
from surgery.model import Patient

_DIRECT = (nn.MultiheadAttention, nn.TransformerEncoderLayer)


def reads_weights_directly(patient: Patient, path: str) -> str | None:
    """The class around `path` that reads this module's weight without calling it, if there is one.

    Torch's attention and encoder layers take their fast path past their children: an adapter
    wrapped around such a child would have no effect.
    """
    for ancestor in _ancestors(path):
        if isinstance(patient.module(ancestor), _DIRECT):
            return type(patient.module(ancestor)).__name__
    return None


def refuse_unseen(patient: Patient, path: str, verb: str) -> None:
    """SurgeryError where torch's fast path would go past what stands in the place of the module at `path`."""
    if around := reads_weights_directly(patient, path):
        raise SurgeryError(
            f"{around} reads this weight on its fast path without calling the module, so {verb} here would "
            "have no effect",
            path=path,
        )


def _ancestors(path: str) -> Iterator[str]:
    while "." in path:
        path = path.rpartition(".")[0]
        yield path
