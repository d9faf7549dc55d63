"""A part of what was put together of others is made of those it lies in, and has the same elements."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import MixtralConfig, MixtralForCausalLM

import surgery
from surgery.lazy import Known, Lazy, Recipe, recipe
from surgery.quiet import quiet
from surgery.recipes import compute
from surgery.stream.reading import Reader
from surgery.stream.views import narrowed


def known(*shape: int, start: int = 0) -> Known:
    """Numbers from `start` on."""
    count = torch.Size(shape).numel()
    tensor = torch.arange(start, start + count, dtype=torch.float32).view(shape)
    return Known(shape=shape, dtype=torch.float32, tensor=tensor)


def viewed(source: Lazy, shape: tuple[int, ...], strides: tuple[int, ...], offset: int) -> Recipe:
    """A view of a lazy tensor."""
    return recipe("viewed", source, shape=shape, sides=shape, strides=strides, offset=offset)


def sources(lazy: Lazy) -> int:
    """How many tensors it is made from."""
    return 1 if isinstance(lazy, Known) else sum(map(sources, lazy.inputs))


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_the_elements_stay_the_same(data: st.DataObject) -> None:
    """Whatever was stacked or put side by side, and whatever is looked at of it, through two views too."""
    shape = tuple(data.draw(st.lists(st.integers(1, 3), min_size=1, max_size=3)))
    count = data.draw(st.integers(1, 3))
    parts = [known(*shape, start=100 * number) for number in range(count)]
    dim = data.draw(st.integers(0, len(shape) - 1))
    if data.draw(st.booleans()):
        whole = (*shape[:dim], count, *shape[dim:])
        source: Lazy = recipe("stacked", *parts, shape=whole, dim=dim)
    else:
        whole = (*shape[:dim], count * shape[dim], *shape[dim + 1 :])
        source = recipe("concatenated", *parts, shape=whole, dim=dim)
    for _ in range(data.draw(st.integers(1, 2))):
        tensor = torch.empty(source.shape)
        for place in range(tensor.dim()):
            start = data.draw(st.integers(0, tensor.shape[place] - 1))
            tensor = tensor.narrow(place, start, data.draw(st.integers(1, tensor.shape[place] - start)))
        if data.draw(st.booleans()):
            tensor = tensor.squeeze(0) if tensor.dim() > 1 else tensor
        if data.draw(st.booleans()) and tensor.dim() > 1:
            tensor = tensor.transpose(0, 1)
        source = viewed(source, tuple(tensor.shape), tensor.stride(), int(tensor.storage_offset()))
    assert torch.equal(compute(narrowed(source), {}), compute(source, {}))


def test_one_expert_of_all_is_that_one_alone() -> None:
    """As Mixtral's lie in memory: gates and ups side by side, all experts in one tensor."""
    gates, ups = ([known(6, 4, start=1000 * kind + 100 * n) for n in range(3)] for kind in (0, 1))
    stacks = [recipe("stacked", *parts, shape=(3, 6, 4), dim=0) for parts in (gates, ups)]
    both = recipe("concatenated", *stacks, shape=(3, 12, 4), dim=1)
    half = viewed(both, (3, 6, 4), (48, 4, 1), 24)
    one = viewed(viewed(half, (1, 6, 4), (24, 4, 1), 48), (6, 4), (4, 1), 0)
    assert narrowed(one) is ups[2]


@pytest.mark.parametrize("experts", [4, 16])
def test_the_checkpoint_of_a_mixture_is_read_twice_however_many_experts(
    experts: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once to be written, and once for a fingerprint that goes by the tensors in memory."""
    config = MixtralConfig(
        vocab_size=64, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=2,
        num_key_value_heads=1, num_local_experts=experts, max_position_embeddings=32,
    )  # fmt: skip
    with quiet():
        MixtralForCausalLM(config).save_pretrained(tmp_path / "base")
    session = surgery.open(tmp_path / "base", skeleton=True)
    session.swap("model.layers.0", "model.layers.1")
    read: list[int] = []
    plain = Reader._read

    def rows(self: Reader, *args: object) -> torch.Tensor:
        found = plain(self, *args)  # type: ignore[arg-type]
        read.append(found.nbytes)
        return found

    monkeypatch.setattr(Reader, "_read", rows)
    out = session.save(tmp_path / "out")
    size = (tmp_path / "base" / "model.safetensors").stat().st_size
    assert sum(read) <= 2.1 * size
    live = surgery.open(tmp_path / "base")
    live.swap("model.layers.0", "model.layers.1")
    assert surgery.open(out).fingerprint() == live.fingerprint()


def test_what_lies_in_several_stays_as_it_is() -> None:
    """A view across two of them needs both."""
    source = recipe("concatenated", known(2, 2), known(2, 2, start=10), shape=(4, 2), dim=0)
    across = viewed(source, (2, 2), (2, 1), 2)
    assert narrowed(across) is across and sources(across) == 2
