"""Tensors that no call on the tape gave, by their values: masks, positions, sums made between blocks."""

from __future__ import annotations

from collections.abc import Callable, Hashable

import torch
from torch import Tensor, nn
from torch.multiprocessing.reductions import StorageWeakRef

from surgery.evaluate.tape.signature import place_of
from surgery.evaluate.tape.values import Unsayable, same_bits

_ALIKE = 64
"""Of tensors that differ in their values alone, so many are told apart at one place."""


class Seen:
    """Numbers for tensors: two of equal bits have the same. Holds up to `limit_bytes` of them."""

    def __init__(self, limit_bytes: int, new_token: Callable[[], int]) -> None:
        self.limit_bytes, self.used_bytes, self.new_token = limit_bytes, 0, new_token
        self._seen: dict[Hashable, list[tuple[Tensor, int, int]]] = {}
        self._weights: dict[int, StorageWeakRef] = {}

    def token(self, place: Hashable, tensor: Tensor) -> Hashable:
        """What stands for the values of `tensor`. Raises Unsayable where there is no room to keep it."""
        if isinstance(tensor, nn.Parameter):
            storage = tensor.untyped_storage()
            self._weights.setdefault(storage._cdata, StorageWeakRef(storage))
            return place_of(tensor)
        if type(tensor) is not Tensor or tensor.layout is not torch.strided or tensor.is_inference():
            raise Unsayable(type(tensor).__name__)
        kind = (place, tuple(tensor.shape), tensor.stride(), tensor.dtype, tensor.device)
        alike = self._seen.setdefault(kind, [])
        # What was written into since stands for nothing any more.
        self._leave_out(alike, {id(known) for known, version, _ in alike if known._version != version})
        for known, _, token in alike:
            if known is tensor or same_bits(known, tensor):
                return (token, 0)
        size_bytes = tensor.untyped_storage().nbytes()
        if len(alike) >= _ALIKE or self.used_bytes + size_bytes > self.limit_bytes:
            raise Unsayable("a tensor too many")
        self.used_bytes += size_bytes
        alike.append((tensor, tensor._version, self.new_token()))
        return (alike[-1][2], 0)

    def spoilt(self, tensors: list[Tensor]) -> None:
        """These were written into past their version counters: they stand for nothing any more."""
        gone = {id(tensor) for tensor in tensors}
        for alike in self._seen.values():
            self._leave_out(alike, gone)

    def _leave_out(self, alike: list[tuple[Tensor, int, int]], gone: set[int]) -> None:
        left = [item for item in alike if id(item[0]) in gone]
        if left:
            self.used_bytes -= sum(known.untyped_storage().nbytes() for known, _, _ in left)
            alike[:] = [item for item in alike if id(item[0]) not in gone]

    def clear(self) -> None:
        """Forgets all."""
        self._seen.clear()
        self.used_bytes = 0
