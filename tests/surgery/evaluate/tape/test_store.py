"""What a tape keeps within its limits."""

from __future__ import annotations

import torch
from torch import Tensor

from surgery.evaluate.tape.store import ROUNDS, Entry, Store
from tests.surgery.evaluate.conftest import decoder, tokens
from tests.surgery.evaluate.tape.forwards import changed, equal, full, tape, taped


def outputs(size_bytes: int) -> tuple[Tensor, ...]:
    """One tensor of that size."""
    return (torch.zeros(size_bytes, dtype=torch.uint8),)


def kept(store: Store, *calls: tuple[int, float]) -> list[Entry]:
    """An entry per (bytes, cost), offered in this order."""
    entries = []
    for number, (size_bytes, cost) in enumerate(calls):
        entry = Entry(number, number, ())
        store.add(number, entry)
        store.keep(entry, outputs(size_bytes), cost)
        entries.append(entry)
    return entries


def test_the_dearest_per_byte_stay() -> None:
    """A cheap output gives way to a dear one, not to one as cheap."""
    store = Store(200)
    cheap, dear, dearer, as_cheap = kept(store, (100, 1.0), (100, 5.0), (100, 9.0), (100, 1.0))
    assert [e.outputs is not None for e in (cheap, dear, dearer, as_cheap)] == [False, True, True, False]
    assert store.used_bytes == 200


def test_what_was_not_used_for_longest_goes_first() -> None:
    """However dear it is: what the present evaluation uses is worth more."""
    store = Store(200)
    old, used = kept(store, (100, 50.0), (100, 1.0))
    store.begin()
    assert store.find(1, lambda *_: None) is used
    new = Entry(9, 9, ())
    store.add("new", new)
    store.keep(new, outputs(100), 1.0)
    assert (old.outputs, store.used_bytes) == (None, 200)
    assert used.outputs is not None and new.outputs is not None


def test_what_has_no_room_on_the_device_goes_to_the_host() -> None:
    """And comes to nothing where there is no room either."""
    store = Store(100, host_bytes=100, to_host=torch.clone)
    first, second, third = kept(store, (100, 1.0), (100, 2.0), (100, 3.0))
    assert [(e.outputs is not None, e.on_host) for e in (first, second, third)] == [
        (True, True),
        (False, False),
        (True, False),
    ]
    assert (store.used_bytes, store.host_used_bytes) == (100, 100)


def test_a_limit_is_kept_and_falls_back_to_running() -> None:
    """With room for two blocks, with room for nothing: the bits stay those of a full run."""
    model = decoder(blocks=4)
    asked = {"input_ids": tokens(2), "use_cache": False}
    edited = changed(model, "model.layers.2.mlp.up_proj.weight")
    for limit in (0, 2 * 2 * 16 * 32 * 4 + 100, 50_000):
        over = tape(limit)
        for made in (model, edited, model, edited):
            assert equal(full(made, asked), taped(over, made, asked))
            assert over.store.used_bytes + over.values.used_bytes <= limit + limit // 4


def test_outputs_on_the_host_are_brought_back() -> None:
    """A replay from there gives the same bits."""
    model, over = decoder(blocks=4), tape(3 * 2 * 16 * 32 * 4)
    over.store.host_bytes, over.store.to_host = 1_000_000, torch.clone
    asked = {"input_ids": tokens(2), "use_cache": False}
    taped(over, model, asked)
    assert over.store.host_used_bytes > 0
    edited = changed(model, "model.layers.3.mlp.up_proj.weight")
    assert equal(full(edited, asked), taped(over, edited, asked))
    assert len(over.replays) == 5


def test_calls_that_nobody_meets_any_more_are_forgotten() -> None:
    """Those whose outputs had no room: else they would add up over a day of evaluations."""
    store = Store(100)
    kept_one, left_out = kept(store, (100, 5.0), (100, 1.0))
    assert left_out.outputs is None
    for _ in range(2 * ROUNDS):
        store.begin()
    assert store.find(0, lambda *_: None) is kept_one
    assert store.find(1, lambda *_: None) is None


def test_weights_that_are_gone_take_their_records_along() -> None:
    """Nobody can ask for them again, so their memory is given back."""
    model, over = decoder(blocks=2), tape()
    asked = {"input_ids": tokens(2), "use_cache": False}
    taped(over, model, asked)
    edited = changed(model, "model.layers.0.mlp.up_proj.weight")
    taped(over, edited, asked)
    both = over.store.used_bytes
    del edited
    over.begin()
    assert over.store.used_bytes < both
