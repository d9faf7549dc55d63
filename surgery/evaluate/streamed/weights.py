"""Tensors that lie in a checkpoint, read when a module runs and let go of when none will run with them."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator

import torch
from torch import Tensor

from graph.units import short
from surgery.errors import SurgeryError
from surgery.lazy import Held, Lazy, Stored
from surgery.recipes import compute
from surgery.stream.lineage import Lineage
from surgery.stream.reading import Reader


class Weights(Lineage):
    """The tensors of models whose parameters are on meta: on `device` as long as somebody counts on them.

    Each is known by the lazy tensor it stands for in the end, which is the same one for both ends of a tie.
    One module may need `limit_bytes` at a time, by default half the memory. `read_bytes` is what was read so
    far, `held_bytes` what is held, `most_bytes` the most that was.
    """

    def __init__(self, device: torch.device, limit_bytes: int | None = None) -> None:
        super().__init__()
        self.device = device
        self.limit_bytes = _room(device) if limit_bytes is None else limit_bytes
        self.read_bytes = self.held_bytes = self.most_bytes = 0
        self._needed: dict[Lazy, tuple[Lazy, ...]] = {}
        self._there: dict[Lazy, Tensor] = {}
        self._expected: Counter[Lazy] = Counter()
        self._files = Reader()

    @property
    def said(self) -> str:
        """What was read, as a sentence for a report."""
        read, most = short(self.read_bytes, "B"), short(self.most_bytes, "B")
        return f"{read} of weights were read, of which at most {most} were there at a time."

    def refuse_changed(self) -> None:
        """SurgeryError for a file that was written into since it was first read. Closes the files."""
        with self._files as files:
            files.refuse_changed()

    def refuse_large(self, path: str, lazies: Iterable[Lazy]) -> None:
        """SurgeryError where the module at `path` needs more at a time than there is room for."""
        needed_bytes = sum(map(_size, lazies))
        if needed_bytes > self.limit_bytes:
            raise SurgeryError(
                "needs more weights at a time than there is memory for",
                path=path,
                got=short(needed_bytes, "B"),
                expected=f"at most {short(self.limit_bytes, 'B')}",
            )

    def needed(self, lazy: Lazy) -> tuple[Lazy, ...]:
        """What must be there to make `lazy`: itself, and what of the checkpoint it is made from."""
        if lazy not in self._needed:
            self._needed[lazy] = tuple(dict.fromkeys([lazy, *self._below(lazy)]))
        return self._needed[lazy]

    def expect(self, lazies: Iterable[Lazy]) -> None:
        """One more counts on each of these."""
        self._expected.update(lazies)

    def done(self, lazies: Iterable[Lazy]) -> None:
        """One less counts on each of these; those that nobody counts on are let go of."""
        for lazy in lazies:
            self._expected[lazy] -= 1
            if self._expected[lazy] <= 0:
                del self._expected[lazy]
                tensor = self._there.pop(lazy, None)
                if tensor is not None:
                    self.held_bytes -= tensor.nbytes

    def has(self, lazies: Iterable[Lazy]) -> bool:
        """Whether all of these are there."""
        return all(lazy in self._there for lazy in lazies)

    def get(self, lazies: Iterable[Lazy]) -> dict[Lazy, Tensor]:
        """The tensors on the device, read and computed where they are not there."""
        found: dict[Lazy, Tensor] = {}
        memo: dict[int, Tensor] = {}
        for lazy in lazies:
            self._get(lazy, found, memo)
        return found

    # Inside -----------------------------------------------------------------------------------

    def _get(self, lazy: Lazy, found: dict[Lazy, Tensor], memo: dict[int, Tensor]) -> Tensor:
        """One tensor; `found` are those of this call, `memo` what was read for it, by id of the node."""
        tensor = found.get(lazy, self._there.get(lazy))
        if tensor is None:

            def values(held: Held) -> Tensor:
                last = self.last(held)
                return held.parameter.detach() if last is held else self._get(last, found, memo)

            before = set(memo)
            self._files.note(lazy)
            tensor = compute(lazy, memo, values).to(self.device)
            self.read_bytes += sum(_size(node) for node in _stored(lazy) if id(node) not in before)
            if self._expected[lazy] > 0:
                self._there[lazy] = tensor
                self.held_bytes += tensor.nbytes
                self.most_bytes = max(self.most_bytes, self.held_bytes)
        found[lazy] = tensor
        return tensor

    def _below(self, lazy: Lazy) -> Iterator[Lazy]:
        for item in lazy.inputs:
            last = self.last(item)
            if last is not item or isinstance(item, Held):
                if not isinstance(last, Held):
                    yield from self.needed(last)
            else:
                yield from self._below(item)


def _stored(lazy: Lazy) -> Iterator[Stored]:
    """The tensors of files that it is made from."""
    if isinstance(lazy, Stored):
        yield lazy
    for item in lazy.inputs:
        if not isinstance(item, Held):
            yield from _stored(item)


def _room(device: torch.device) -> int:
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0] // 2)
    if hasattr(os, "sysconf"):
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2
    return 2**63 - 1


def _size(lazy: Lazy) -> int:
    return lazy.count * lazy.dtype.itemsize
