"""Many candidates in one pass over the blocks of the model they were made from.

The base runs once. At each block the hidden states of all candidates that run this very block go through it
together, as extra rows of the batch, so its weights are read once for all; a candidate's own blocks run where
it has them. What stands before and after the blocks runs for each candidate by itself. Source: original.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from surgery.evaluate.sweep.lanes import SAME, Lane

ENOUGH_TOKENS = 4096
"""Rows are put together until a call has so many positions: more make no kernel quicker."""


class NoWave(Exception):
    """The blocks do not pass one hidden state on, so that candidates cannot share a pass."""


class Wave:
    """A pass over the `blocks` of a base for candidates of these `lanes`; `check` runs before each block."""

    def __init__(self, blocks: Sequence[nn.Module], lanes: Sequence[Lane], check: Callable[[], None]) -> None:
        self.blocks, self.lanes, self.check = list(blocks), list(lanes), check
        self.hidden: list[Tensor | None] = []
        self._passed: Tensor | None = None
        self._next = 0

    def run(self, forward: Callable[[], Any]) -> list[Tensor]:
        """The hidden states of each candidate after its last block, (rows, positions, width) each.

        `forward` runs the base. Raises NoWave where its blocks are not called once each, in their order,
        with what the block before gave.
        """
        self.hidden, self._passed, self._next = [None] * len(self.lanes), None, 0
        with _instead(self.blocks, self._block):
            forward()
        if self._next != len(self.blocks):
            raise NoWave(f"{self._next} of {len(self.blocks)} blocks were called")
        return [self._passed_on(hidden) for hidden in self.hidden]

    def _passed_on(self, hidden: Tensor | None) -> Tensor:
        found = self._passed if hidden is None else hidden
        assert found is not None
        return found

    def _block(self, number: int, forward: Callable[..., Any], args: tuple[Any, ...], words: Any) -> Any:
        self.check()
        given = args[0] if args else words.get("hidden_states")
        if number != self._next or not isinstance(given, Tensor):
            raise NoWave("blocks in another order")
        if self._passed is not None and given is not self._passed:
            raise NoWave("something runs between the blocks")
        self._next += 1
        together = []
        for index, lane in enumerate(self.lanes):
            here = lane.at[number]
            if self.hidden[index] is None and here == (SAME,):
                continue  # it is the base so far
            if self.hidden[index] is None:
                self.hidden[index] = given
            split = here.index(SAME) if SAME in here else len(here)
            self._own(index, here[:split], args, words)
            if SAME in here:
                together.append(index)
        self._together(together, forward, args, words)
        for index in together:
            here = self.lanes[index].at[number]
            self._own(index, here[here.index(SAME) + 1 :], args, words)
        self.check()
        out = forward(*args, **words)
        self._passed = _hidden_in(out)
        return out

    def _own(
        self,
        index: int,
        modules: Sequence[nn.Module | None],
        args: tuple[Any, ...],
        words: dict[str, Any],
    ) -> None:
        """Takes the hidden states of a candidate through blocks of its own."""
        for module in modules:
            self.check()
            hidden = self.hidden[index]
            assert module is not None and hidden is not None
            given = (hidden, *args[1:]) if args else ()
            self.hidden[index] = _hidden_in(module(*given, **_words(args, words, hidden)))

    def _together(
        self, indices: list[int], forward: Callable[..., Any], args: tuple[Any, ...], words: dict[str, Any]
    ) -> None:
        """Takes the hidden states of these candidates through a block of the base, many rows at a time."""
        while indices:
            self.check()
            first = self._passed_on(self.hidden[indices[0]])
            rows, positions = first.shape[0], first.shape[:-1].numel()
            count = max(1, min(len(indices), ENOUGH_TOKENS // max(1, positions)))
            group, indices = indices[:count], indices[count:]
            stacked = torch.cat([self._passed_on(self.hidden[index]) for index in group])
            more = [_repeated(item, rows, count) for item in args[1:]]
            named = {key: _repeated(value, rows, count) for key, value in words.items()}
            # Past the tape, if it runs over one: what many rows give is of no use to a single evaluation.
            computed = getattr(forward, "forward", forward)
            out = _hidden_in(computed(*([stacked, *more] if args else []), **_words(args, named, stacked)))
            for index, part in zip(group, out.split(rows), strict=True):
                self.hidden[index] = part.contiguous()


@contextmanager
def ending_with(blocks: Sequence[nn.Module], hidden: Tensor) -> Iterator[None]:
    """Within, the blocks do nothing, and the last gives `hidden`: a forward finishes what a wave began."""

    def passing(number: int, forward: Callable[..., Any], args: tuple[Any, ...], words: Any) -> Any:
        given = args[0] if args else words["hidden_states"]
        return hidden if number == len(blocks) - 1 else given

    with _instead(blocks, passing):
        yield


@contextmanager
def _instead(blocks: Sequence[nn.Module], call: Callable[..., Any]) -> Iterator[None]:
    """Within, `call(number, forward, args, words)` stands for the forward of each block."""
    before = [block.__dict__.get("forward") for block in blocks]
    for number, block in enumerate(blocks):
        forward = block.forward
        block.__dict__["forward"] = _bound(call, number, forward)
    try:
        yield
    finally:
        for block, was in zip(blocks, before, strict=True):
            if was is None:
                del block.__dict__["forward"]
            else:
                block.__dict__["forward"] = was


def _bound(call: Callable[..., Any], number: int, forward: Callable[..., Any]) -> Callable[..., Any]:
    def bound(*args: Any, **words: Any) -> Any:
        return call(number, forward, args, words)

    return bound


def _hidden_in(output: Any) -> Tensor:
    if isinstance(output, Tensor):
        return output
    raise NoWave(f"a block gives {type(output).__name__}")


def _words(args: tuple[Any, ...], words: dict[str, Any], hidden: Tensor) -> dict[str, Any]:
    return words if args else {**words, "hidden_states": hidden}


def _repeated(value: Any, rows: int, times: int) -> Any:
    """An argument for `times` as many rows: what has a row for each example is repeated."""
    if times == 1:
        return value
    if isinstance(value, Tensor):
        if rows == 1 or value.dim() == 0 or value.shape[0] != rows:
            return value
        return value.repeat(times, *([1] * (value.dim() - 1)))
    if isinstance(value, tuple | list):
        return type(value)(_repeated(item, rows, times) for item in value)
    return value
