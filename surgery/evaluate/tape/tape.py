"""The tape of an evaluator."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping
from contextlib import contextmanager
from itertools import count
from threading import local
from typing import Any

import torch
from torch import nn

from surgery.evaluate.tape.block import Block
from surgery.evaluate.tape.boundaries import boundaries
from surgery.evaluate.tape.run import Place, Run
from surgery.evaluate.tape.seen import Seen
from surgery.evaluate.tape.signature import Signature
from surgery.evaluate.tape.store import Entry, Store, host_copy

LIMIT_BYTES = 2_000_000_000
_STRIKES = 2
_KINDS = ("cpu", "cuda")


class Tape:
    """Records what blocks give and replays it where nothing that they depend on has changed.

    `limit_bytes` of outputs are kept on `device`, `host_bytes` more beside an accelerator. A tape belongs to
    one evaluator, whose models run on shells of their own, and is used by one thread at a time.
    """

    def __init__(
        self, device: torch.device, limit_bytes: int = LIMIT_BYTES, host_bytes: int = LIMIT_BYTES
    ) -> None:
        self.device = device
        on_cpu = device.type == "cpu"
        self.store = Store(limit_bytes, 0 if on_cpu else host_bytes, host_copy)
        self._here = local()
        self.is_off = False
        self.trusted: set[int] = set()
        self.replays: set[int] = set()
        """The numbers of what was replayed in this evaluation."""
        self.met: dict[Block, None] = {}
        """The blocks that ran or were replayed in it."""
        self.last: dict[tuple[Place, str], Entry] = {}
        self._tokens, self._fresh = count(), count()
        self.values = Seen(limit_bytes // 4, self.new_token)
        self._numbers: dict[Hashable, int] = {}
        self._signed: dict[int, Signature] = {}
        self._strikes: dict[str, int] = {}
        self._barred: set[int] = set()
        self._setting: Hashable = None

    @property
    def run(self) -> Run | None:
        """The forward that goes over the tape in this thread."""
        return getattr(self._here, "run", None)

    def new_token(self) -> int:
        """A number that stands for no values yet."""
        return next(self._tokens)

    def number(self, signature: Signature) -> int:
        """The number of a signature; -1 for one whose blocks write into themselves."""
        number = self._numbers.get(signature.said)
        if number is None:
            number = self._numbers[signature.said] = next(self._fresh)  # one of old is never given again
            self._signed[number] = signature
        return -1 if number in self._barred else number

    def thread(self, model: nn.Module, places: Mapping[str, nn.Module] | None = None) -> list[Block]:
        """Leads the blocks of `model`, a shell that nobody else runs, over the tape; signs them.

        `places` are modules by path, in place of the usual boundaries.
        """
        blocks = []
        for path, module in (boundaries(model) if places is None else places).items():
            block = module.__dict__.get("forward")
            if not isinstance(block, Block):
                if block is not None:
                    continue  # a forward of its own making
                block = Block(self, path, module)
                module.__dict__["forward"] = block
            block.sign()
            blocks.append(block)
        return blocks

    def release(self, blocks: list[Block]) -> None:
        """Gives the blocks their forwards back, so that nothing holds their model."""
        for block in blocks:
            self.met.pop(block, None)
            block.module.__dict__.pop("forward", None)

    def begin(self) -> None:
        """An evaluation begins. Forgets what nobody can ask for again, and all if bits are made otherwise."""
        self.store.begin()
        self.replays.clear()
        self.met.clear()
        setting = setting_now()
        if setting != self._setting:
            self.forget()
            self._setting = setting
        gone = [
            number
            for number, signature in self._signed.items()
            if any(storage.expired() for storage in signature.storages)
        ]
        for number in gone:
            del self._numbers[self._signed.pop(number).said]
        self.store.forget(gone)

    def forget(self) -> None:
        """Forgets all that was recorded."""
        self.store.clear()
        self.values.clear()
        self.last.clear()

    def give_way(self) -> bool:
        """Memory ran out: forgets all and keeps half as much from now on; False if it held nothing."""
        if not self.store.used_bytes and not self.values.used_bytes:
            return False
        self.store.limit_bytes //= 2
        self.values.limit_bytes //= 2
        self.forget()
        return True

    @contextmanager
    def over(self, place: Place) -> Iterator[None]:
        """Within, forwards of threaded models on the batch at `place` go over the tape."""
        if self.is_off or any(_global_hooks()):
            yield
            return
        self._here.run = run = Run(self, place)
        try:
            yield
        except BaseException:
            run.abandon()
            raise
        else:
            run.finish()
        finally:
            self._here.run = None

    def proved(self, block: Block) -> bool:
        """Whether the block is what it was before its first recorded call; asked once per signature."""
        if block.number in self.trusted:
            return True
        if block.signature is None or block.number < 0:
            return False
        if block.is_as_signed():
            self.trusted.add(block.number)
            self._strikes.pop(block.path, None)
            return True
        self._strike(block)
        return False

    def held(self) -> bool:
        """Whether no block that was trusted and replayed was written into in this evaluation, by itself or by
        its parents. Lets go of the blocks.

        If not, what was computed with the tape is to be computed again without.
        """
        if self.is_off:
            return True
        right = True
        met, self.met = list(self.met), {}
        for block in met:
            if block.number in self.trusted and not block.is_as_signed():
                right = right and block.number not in self.replays
                self._strike(block)
        return right

    def _strike(self, block: Block) -> None:
        """It wrote into itself: at its first call it may have settled something, after it it always runs."""
        self.store.forget([block.number])
        self.trusted.discard(block.number)
        self._strikes[block.path] = self._strikes.get(block.path, 0) + 1
        if self._strikes[block.path] >= _STRIKES:
            self._barred.add(block.number)
            block.signature, block.number = None, -1
        else:
            block.sign()


def setting_now() -> Hashable:
    """What changes the bits of a forward without being seen in the model or its arguments."""
    cuda = torch.backends.cuda
    return (
        _global_hooks(),
        torch.get_num_threads(),
        torch.get_default_dtype(),
        torch.get_float32_matmul_precision(),
        torch.are_deterministic_algorithms_enabled(),
        torch.backends.mkldnn.enabled,
        torch.backends.cudnn.benchmark,
        tuple((kind, torch.is_autocast_enabled(kind), torch.get_autocast_dtype(kind)) for kind in _KINDS),
        (cuda.flash_sdp_enabled(), cuda.mem_efficient_sdp_enabled(), cuda.math_sdp_enabled()),
    )


def _global_hooks() -> tuple[tuple[int, ...], ...]:
    """The numbers of hooks that every module there is has: they may change what blocks give."""
    own: Any = nn.modules.module
    return tuple(own._global_forward_hooks), tuple(own._global_forward_pre_hooks)
