"""One forward over the tape: which tensors are known, which calls are replayed, which are recorded."""

from __future__ import annotations

import random
import sys
import time
from collections.abc import Hashable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from surgery.evaluate.tape.configs import Reads, noting
from surgery.evaluate.tape.store import Entry
from surgery.evaluate.tape.values import Unsayable, said, same_bits

if TYPE_CHECKING:
    from surgery.evaluate.tape.block import Block
    from surgery.evaluate.tape.tape import Tape

Place = tuple[int, int]
"""Where a batch starts and stops in the order of the examples."""


@dataclass
class _Recorded:
    """A call of this forward that is to be kept if nothing irregular shows until its end."""

    block: Block
    key: Hashable
    entry: Entry
    outputs: tuple[Tensor, ...]
    versions: tuple[int, ...]
    cost: float


class Run:
    """One forward of a model on the batch at `place`."""

    def __init__(self, tape: Tape, place: Place) -> None:
        self.tape, self.place = tape, place
        self.inside = False
        self.recorded: list[_Recorded] = []
        self.replayed: list[tuple[Entry, tuple[Tensor, ...]]] = []
        self._known: dict[int, tuple[Tensor, int, Hashable]] = {}
        self._chance = state_of_chance(tape.device)

    def call(self, block: Block, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """What the block gives for these arguments, from the tape or computed."""
        if self.inside or block.signature is None or _is_captured():
            self.tape.met[block] = None
            return block.forward(*args, **kwargs)
        given: list[Tensor] = []
        try:
            arguments = (self._said(args, given), self._said(kwargs, given))
        except Unsayable:
            self.tape.met[block] = None
            return block.forward(*args, **kwargs)
        key = (self.place, block.number, arguments)
        entry = self.tape.store.find(key, block.says)
        if entry is not None and entry.outputs is not None and _is_written(entry, entry.outputs):
            self.tape.store.drop(entry)
        if entry is not None and entry.outputs is not None:
            return self._replay(block, entry)
        self.tape.met[block] = None
        return self._record(block, key, entry, given, args, kwargs)

    def finish(self) -> None:
        """Keeps what was recorded, if the forward left it as it was."""
        drew = self._chance != state_of_chance(self.tape.device)
        self._drop_written()
        for made in self.recorded:
            if drew or _versions(made.outputs) != made.versions or not self.tape.proved(made.block):
                self.tape.store.remove(made.key, made.entry)
            else:
                self.tape.store.keep(made.entry, made.outputs, made.cost)

    def abandon(self) -> None:
        """The forward failed: nothing of it is kept, nor what it wrote into."""
        self._drop_written()
        for made in self.recorded:
            self.tape.store.remove(made.key, made.entry)

    def _drop_written(self) -> None:
        for entry, outputs in self.replayed:
            if _is_written(entry, outputs):
                self.tape.store.drop(entry)

    def _replay(self, block: Block, entry: Entry) -> Any:
        assert entry.outputs is not None
        outputs = entry.outputs
        if entry.on_host:
            outputs = tuple(tensor.to(self.tape.device, non_blocking=True) for tensor in outputs)
        self.replayed.append((entry, outputs))
        self.tape.replays.add(block.number)
        self.tape.met[block] = None
        self._note(outputs, entry.token)
        return _rebuilt(entry.shape, outputs)

    def _record(
        self,
        block: Block,
        key: Hashable,
        entry: Entry | None,
        given: list[Tensor],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> Any:
        versions, reads, held = _versions(given), Reads(), _held((args, kwargs))
        copies = None if block.number in self.tape.trusted else [tensor.clone() for tensor in given]
        began = time.perf_counter()
        self.inside = True
        try:
            with noting(reads):
                out = block.forward(*args, **kwargs)
        finally:
            self.inside = False
        cost = time.perf_counter() - began if self.tape.device.type == "cpu" else block.size
        outputs: list[Tensor] = []
        try:
            shape = _taken_apart(out, outputs)
            read = block.read(reads)
        except Unsayable:
            return out
        untouched = _versions(given) == versions
        if copies is not None and untouched and not all(map(same_bits, copies, given)):
            self._spoilt(given)
            untouched = False
        if not untouched or held != _held((args, kwargs)) or not _apart(outputs, given, block):
            return out
        if entry is None:
            twin = self._twin(block, outputs)
            entry = Entry(self.tape.new_token() if twin is None else twin.token, block.number, read)
            self.tape.store.add(key, entry)
        entry.shape = shape
        self._note(tuple(outputs), entry.token)
        self.recorded.append(_Recorded(block, key, entry, tuple(outputs), _versions(outputs), cost))
        self.tape.last[self.place, block.path] = entry
        return out

    def _spoilt(self, given: list[Tensor]) -> None:
        """A block wrote into its arguments unseen: what was kept of this forward holds other values now."""
        self.tape.values.spoilt(given)
        self.abandon()
        self.recorded.clear()
        for entry, _ in self.replayed:
            self.tape.store.drop(entry)
        for tensor in given:
            self._known.pop(id(tensor), None)

    def _twin(self, block: Block, outputs: list[Tensor]) -> Entry | None:
        """The last call at this path, if it gave the same bits: what comes after need not run then."""
        last = self.tape.last.get((self.place, block.path))
        if last is None or last.outputs is None or last.on_host or len(last.outputs) != len(outputs):
            return None
        return last if all(map(_same, last.outputs, outputs)) else None

    def _note(self, tensors: tuple[Tensor, ...], token: int) -> None:
        for index, tensor in enumerate(tensors):
            self._known[id(tensor)] = (tensor, tensor._version, (token, index))

    def _said(self, value: Any, given: list[Tensor]) -> Hashable:
        """An argument as part of a key; its tensors are added to `given`."""
        if isinstance(value, Tensor):
            given.append(value)
            return self._token(value)
        kind = type(value)
        if kind in (tuple, list):
            return (kind, *(self._said(item, given) for item in value))
        if kind is dict:
            return (kind, *((key, self._said(item, given)) for key, item in value.items()))
        return said(value, _refused)

    def _token(self, tensor: Tensor) -> Hashable:
        """What stands for the values of a tensor: which call gave it, or its number among those seen here."""
        noted = self._known.get(id(tensor))
        if noted is not None and noted[0] is tensor and noted[1] == tensor._version:
            return noted[2]
        token = self.tape.values.token(self.place, tensor)
        self._known[id(tensor)] = (tensor, tensor._version, token)
        return token


def _refused(value: Any) -> Hashable | None:
    """A call with modules, caches or other objects among its arguments is never replayed."""
    if isinstance(value, nn.Module) or hasattr(value, "__dict__"):
        raise Unsayable(type(value).__name__)
    return None


def _taken_apart(value: Any, tensors: list[Tensor]) -> Any:
    """The shape of an output, its tensors added to `tensors`. Raises Unsayable for other objects."""
    kind = type(value)
    if isinstance(value, Tensor):
        if kind is not Tensor or value.layout is not torch.strided or value.is_inference():
            raise Unsayable(kind.__name__)
        tensors.append(value)
        return len(tensors) - 1
    if kind in (tuple, list):
        return (kind, [_taken_apart(item, tensors) for item in value])
    if value is None:
        return None
    raise Unsayable(kind.__name__)


def _is_written(entry: Entry, outputs: tuple[Tensor, ...]) -> bool:
    """Whether somebody wrote into what is kept of an entry."""
    return not entry.on_host and _versions(outputs) != entry.versions


def _is_captured() -> bool:
    """Whether transformers collects what modules inside blocks give, such as logits of routers, by hooks."""
    capturing = sys.modules.get("transformers.utils.output_capturing")
    collector = getattr(capturing, "_active_collector", None)
    return collector is not None and bool(collector.get())


def _held(value: Any) -> Hashable:
    """What lists and dictionaries among arguments hold, object by object: a block may write into them."""
    if isinstance(value, dict):
        return tuple((key, _held(item)) for key, item in value.items())
    return tuple(map(_held, value)) if isinstance(value, tuple | list) else id(value)


def _rebuilt(shape: Any, tensors: tuple[Tensor, ...]) -> Any:
    if shape is None:
        return None
    if isinstance(shape, int):
        return tensors[shape]
    kind, items = shape
    return kind(_rebuilt(item, tensors) for item in items)


def _versions(tensors: list[Tensor] | tuple[Tensor, ...]) -> tuple[int, ...]:
    return tuple(tensor._version for tensor in tensors)


def _apart(outputs: list[Tensor], given: list[Tensor], block: Block) -> bool:
    """Whether each output has memory of its own: none of the arguments', the weights', another output's."""
    taken = {tensor.untyped_storage()._cdata for tensor in given}
    if block.signature is not None:
        taken |= {storage.cdata for storage in block.signature.storages}
    for tensor in outputs:
        place = tensor.untyped_storage()._cdata
        if place in taken:
            return False
        taken.add(place)
    return True


def _same(one: Tensor, two: Tensor) -> bool:
    alike = one.shape == two.shape and one.dtype == two.dtype and one.stride() == two.stride()
    return alike and one.device == two.device and same_bits(one, two)


def state_of_chance(device: torch.device) -> Hashable:
    """The states of the generators that a forward may draw from."""
    states: list[Hashable] = [bytes(torch.default_generator.get_state().numpy()), random.getstate()]
    if device.type == "cuda":
        states.append(bytes(torch.cuda.get_rng_state(device).numpy()))
    if "numpy" in sys.modules:
        kind, keys, *rest = sys.modules["numpy"].random.get_state()
        states.append((kind, keys.tobytes(), *rest))
    return tuple(states)
