"""Fingerprints of skeletons, of what their tensors are in files: by what was written, or read once more."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext
from threading import Lock

import torch
from torch import nn

from surgery.checkpoint.names import held
from surgery.fingerprint import Fingerprinter, bytes_of, digest_of, hashed, tensor_digest
from surgery.lazy import Held, Lazy
from surgery.likeness import Gauge, gauged
from surgery.recipes import one_thread
from surgery.reductions import retiled
from surgery.stream.device import CPU
from surgery.stream.lineage import Lineage
from surgery.stream.reading import Reader
from surgery.stream.tiles import Maker, is_tiled


class Digests(Fingerprinter):
    """Fingerprints of models whose tensors `lineage` knows.

    `known` are digests that were made already, and `written` says where tensors lie by now.
    """

    def __init__(
        self,
        lineage: Lineage,
        known: Mapping[Lazy, str],
        reader: Reader,
        device: torch.device = CPU,
        written: Mapping[Lazy, Lazy] | None = None,
    ) -> None:
        super().__init__()
        self.lineage, self.known, self.maker = lineage, dict(known), Maker(reader, device)
        self.written = written or {}
        self._one = Lock()

    def __call__(self, model: nn.Module) -> str:
        """The fingerprint, as the model with its weights has it."""
        with one_thread():
            return super().__call__(model)

    def digest(self, tensor: torch.Tensor) -> str:
        """The digest of a tensor, read where it lies."""
        lazy = self.lineage.resolved(held(tensor))
        if isinstance(lazy, Held):
            return tensor_digest(lazy.parameter)
        if lazy not in self.known:
            self.known[lazy] = self._made(lazy)
        return self.known[lazy]

    def origin(self, tensor: torch.Tensor) -> object:
        """What it stands for: of two tensors that stand for the same, one is the other."""
        return self.lineage.resolved(held(tensor))

    def gauge(self, tensor: torch.Tensor) -> Gauge | None:
        """The gauge of a tensor, read where it was written."""
        lazy = self.lineage.resolved(held(tensor))
        if isinstance(lazy, Held):
            return super().gauge(lazy.parameter)
        if not tensor.dtype.is_floating_point:
            return None
        lazy = self.written.get(lazy, lazy)
        with nullcontext() if is_tiled(lazy) else self._one:
            return gauged(lazy.dtype, retiled(self.maker.pieces(lazy)))

    def _made(self, lazy: Lazy) -> str:
        made = hashed()
        with nullcontext() if is_tiled(lazy) else self._one:  # whole tensors, one at a time
            for piece in self.maker.pieces(lazy):
                made.update(bytes_of(piece))
        return digest_of(lazy.dtype, lazy.shape, made.hexdigest())
