"""What replay by path alone gets silently wrong: each case gives the bits of a full run."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from graph.shell import shell
from surgery.evaluate.tape import Tape
from surgery.evaluate.tape.signature import signature
from surgery.evaluate.tape.values import Unsayable
from tests.surgery.evaluate.conftest import decoder, tokens
from tests.surgery.evaluate.tape.forwards import changed, equal, full, tape, taped

X = torch.randn(2, 5, 8, generator=torch.Generator().manual_seed(1))


class Chain(nn.Module):
    """Blocks one after another."""

    def __init__(self, *blocks: nn.Module) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(blocks)

    def forward(self, x: Tensor) -> Tensor:
        for block in self.blocks:
            x = block(x)
        return x


def linear() -> nn.Linear:
    """A layer that fits X."""
    return nn.Linear(8, 8)


class Block(nn.Module):
    """A linear layer with children around it, so that a list of them is one of blocks."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = linear()

    def forward(self, x: Tensor) -> Tensor:
        return torch.tanh(self.linear(x)) + x


def same_after(over: Tape, model: nn.Module, edited: nn.Module, x: Tensor = X) -> bool:
    """Whether the edited model, over a tape that recorded `model`, gives the bits of a full run."""
    taped(over, model, (x,))
    taped(over, model, (x,))
    return equal(full(edited, (x,)), taped(over, edited, (x,)))


class Functional(nn.Module):
    """The parent uses the weight of a module that it never calls."""

    def __init__(self) -> None:
        super().__init__()
        self.blocks, self.head = nn.ModuleList([Block(), Block()]), linear()

    def forward(self, x: Tensor) -> Tensor:
        x = F.linear(x, self.head.weight)
        for block in self.blocks:
            x = block(x)
        return x


def test_a_weight_that_the_parent_uses_functionally() -> None:
    """The head changed: what the blocks are given changes with it."""
    torch.manual_seed(0)
    model = Functional()
    assert same_after(tape(), model, changed(model, "head.weight"))


class GivesWeight(nn.Module):
    """The parent passes a weight to its block."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.head = Taking(), linear()

    def forward(self, x: Tensor) -> Tensor:
        return self.first(x, self.head.weight)


class Taking(nn.Module):
    """Is given its weight."""

    def forward(self, x: Tensor, weight: Tensor) -> Tensor:
        return F.linear(x, weight)


def test_a_weight_among_the_arguments() -> None:
    """It is known by its memory and version."""
    torch.manual_seed(0)
    model = GivesWeight()
    assert same_after(tape(), model, changed(model, "head.weight"))


class Peeking(nn.Module):
    """A block that reads the weight of a later one."""

    def __init__(self, later: nn.Linear, *, hidden: bool) -> None:
        super().__init__()
        self.linear = linear()
        if hidden:
            self.later: Any = [later]
        else:
            self.later = later
        self.hidden = hidden

    def forward(self, x: Tensor) -> Tensor:
        later = self.later[0] if self.hidden else self.later
        return self.linear(x) + F.linear(x, later.weight)


@pytest.mark.parametrize("hidden", [False, True])
def test_an_earlier_reader_of_a_later_weight(hidden: bool) -> None:
    """As a child, or hidden in a list, where the tape lets the block run always."""
    torch.manual_seed(0)
    later = linear()
    model = Chain(Peeking(later, hidden=hidden), later)
    edited = shell(model).model
    made: Any = edited.blocks[1]
    made.weight.data = made.weight.data * 2  # both read the one Parameter
    assert same_after(tape(), model, edited)


def test_attention_whose_projection_is_never_called() -> None:
    """Torch's attention reads `out_proj` past its forward."""
    torch.manual_seed(0)
    layers = [nn.TransformerEncoderLayer(8, 2, 16, batch_first=True).eval() for _ in range(3)]
    model = Chain(*layers).eval()
    assert same_after(tape(), model, changed(model, "blocks.1.self_attn.out_proj.weight"))


def test_a_block_inserted_and_one_site_of_a_reused_block_removed() -> None:
    """Calls are known by what they are given, not by their number."""
    torch.manual_seed(0)
    reused, other = Block(), Block()
    model, over = Chain(reused, other, reused), tape()
    taped(over, model, (X,))
    for blocks in ([reused, Block(), other, reused], [other, reused], [reused, other], [reused, reused]):
        edited = Chain(*blocks)
        assert equal(full(edited, (X,)), taped(over, edited, (X,)))


class Counting(nn.Module):
    """Divides by the number of blocks: itself, or in a block that knows the list."""

    def __init__(self, count: int, *, inside: bool) -> None:
        super().__init__()
        self.blocks = nn.ModuleList([Knowing() for _ in range(count)])
        self.inside = inside
        for block in self.blocks:
            assert isinstance(block, Knowing)
            block.all = [self.blocks] if inside else []

    def forward(self, x: Tensor) -> Tensor:
        for block in self.blocks:
            x = block(x) / (1 if self.inside else len(self.blocks))
        return x


class Knowing(Block):
    """Knows the list it is in."""

    all: list[nn.ModuleList]

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) / (len(self.all[0]) if self.all else 1)


@pytest.mark.parametrize("inside", [False, True])
def test_code_that_counts_the_layers(inside: bool) -> None:
    """One removed changes what every block gives."""
    torch.manual_seed(0)
    model = Counting(4, inside=inside)
    edited: Any = shell(model).model
    del edited.blocks[3]
    assert same_after(tape(), model, edited)


class Scaled(nn.Module):
    """A block that reads its config."""

    def __init__(self, config: Any) -> None:
        super().__init__()
        self.config, self.linear = config, linear()

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(x) * self.config.num_hidden_layers + self.config.scale["of"]


def test_a_field_of_the_config_that_a_block_reads() -> None:
    """What it does not read may change; what it reads may not, nor what lies in it."""
    torch.manual_seed(0)
    config: Any = type("Config", (), {"model_type": "own", "to_dict": lambda self: vars(self)})()
    config.num_hidden_layers, config.scale, config.unread = 2, {"of": 1.0}, 0
    model, over = Chain(Scaled(config), Scaled(config)), tape()
    taped(over, model, (X,))
    config.unread = 1
    taped(over, model, (X,))
    assert len(over.replays) == 2
    config.num_hidden_layers = 3
    assert equal(full(model, (X,)), taped(over, model, (X,)))
    config.scale["of"] = 2.0
    assert equal(full(model, (X,)), taped(over, model, (X,)))


class InPlace(nn.Module):
    """The parent writes into what a block gave."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = Block(), Block()
        self.factor = nn.Parameter(torch.tensor(2.0))

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x)
        x *= self.factor
        return self.second(x)


def test_an_output_that_is_written_into() -> None:
    """It is not kept, and what is given on is known by its values."""
    torch.manual_seed(0)
    model, over = InPlace(), tape()
    assert same_after(over, model, changed(model, "factor"))
    assert equal(full(model, (X,)), taped(over, model, (X,)))
    assert equal(full(model, (X,)), taped(over, model, (X,)))


class Doubling(nn.Module):
    """Writes into its argument."""

    def __init__(self, *, unseen: bool) -> None:
        super().__init__()
        self.unseen = unseen

    def forward(self, x: Tensor) -> Tensor:
        if self.unseen:
            x.data.mul_(2)
        else:
            x.mul_(2)
        return x + 1


@pytest.mark.parametrize("unseen", [False, True])
def test_a_later_block_that_writes_into_its_argument(unseen: bool) -> None:
    """What was kept of the block before is not handed out spoilt, even past the version counter."""
    torch.manual_seed(0)
    model, over = Chain(Block(), Block()), tape()
    taped(over, model, (X,))
    edited = Chain(*model.blocks, Doubling(unseen=unseen), Block())
    for _ in range(3):
        assert equal(full(edited, (X,)), taped(over, edited, (X,)))
    assert equal(full(model, (X,)), taped(over, model, (X,)))


class Aliased(nn.Module):
    """An identity whose output is written into: its input changes with it."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.same, self.second = Block(), nn.Identity(), Block()

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x)
        y = self.same(x)
        y.add_(1)
        return self.second(x) + y


def test_an_alias_through_an_identity() -> None:
    """What shares memory with its argument is never replayed."""
    torch.manual_seed(0)
    model, over = Aliased(), tape()
    for _ in range(3):
        assert equal(full(model, (X,)), taped(over, model, (X,)))
    assert same_after(over, model, changed(model, "second.linear.weight"))


class Noisy(nn.Module):
    """Draws in evaluation mode."""

    def forward(self, x: Tensor) -> Tensor:
        return x + torch.randn_like(x)


def test_randomness_drawn_before_the_edit() -> None:
    """A forward that draws is not recorded: what comes after draws what it drew in a full run."""
    torch.manual_seed(0)
    model, over = Chain(Noisy(), Block(), Noisy(), Block()), tape()

    def seeded(run: Callable[[], list[Tensor]]) -> list[Tensor]:
        torch.manual_seed(7)
        return run()

    seeded(lambda: taped(over, model, (X,)))
    edited = changed(model, "blocks.3.linear.weight")
    found = seeded(lambda: taped(over, edited, (X,)))
    assert equal(seeded(lambda: full(edited, (X,))), found)
    assert not over.replays


class Stateful(nn.Module):
    """Gives more with every call; `settles` after the first."""

    def __init__(self, *, settles: bool) -> None:
        super().__init__()
        self.calls, self.settles, self.linear = 0, settles, linear()

    def forward(self, x: Tensor) -> Tensor:
        self.calls = 1 if self.settles else self.calls + 1
        return self.linear(x) + self.calls


def test_a_module_that_keeps_a_state() -> None:
    """It runs always: on the same shell a second batch gives more than the first."""
    torch.manual_seed(0)
    model, over = Chain(Stateful(settles=False), Block()), tape()
    by_hand, made = shell(model).model, shell(model).model
    over.begin()
    over.thread(made)
    for _ in range(4):
        with over.over((0, 1)), torch.no_grad():
            found = made(X)
        with torch.no_grad():
            assert torch.equal(by_hand(X), found)


def test_a_module_that_settles_at_its_first_call_is_replayed_later() -> None:
    """What is computed once and kept, as a cached property is, does not keep a module off the tape."""
    torch.manual_seed(0)
    model, over = Chain(Stateful(settles=True), Block()), tape()
    made = shell(model).model
    over.begin()
    over.thread(made)
    for _ in range(3):
        with over.over((0, 1)), torch.no_grad():
            made(X)
    assert len(over.replays) == 2
    assert over.held()


class Late(nn.Module):
    """Writes into itself for large arguments alone."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = linear()
        self.register_buffer("seen", torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        if x.abs().max() > 50:
            self.seen += 1
        return self.linear(x) + self.seen


def test_a_state_written_late_is_noticed_at_the_end() -> None:
    """A block that was trusted and replayed and then wrote into itself: the evaluation is to be run anew."""
    torch.manual_seed(0)
    model, over = Chain(Late(), Block()), tape()
    made = shell(model).model
    over.begin()
    over.thread(made)
    for x in (X, X, X * 100):
        with over.over((0, 1)), torch.no_grad():
            made(x)
    assert not over.held()


def test_a_cache_is_never_replayed() -> None:
    """With `use_cache` the blocks are given one: all run, so that it is filled."""
    model, over, ids = decoder(blocks=3), tape(), tokens(2)
    made = shell(model).model.eval()
    over.begin()
    over.thread(made)
    for _ in range(2):
        with over.over((0, 1)), torch.no_grad():
            cache = made(input_ids=ids, use_cache=True).past_key_values
        assert cache.get_seq_length() == 16


def test_hooks_of_the_user_run() -> None:
    """A block with a hook is not replayed: the hook may do anything."""
    torch.manual_seed(0)
    model, over, calls = Chain(Block(), Block()), tape(), []
    model.blocks[0].register_forward_hook(lambda *_: calls.append(1))
    for _ in range(3):
        taped(over, model, (X,))
    assert len(calls) == 3


def test_weights_changed_behind_the_tape() -> None:
    """In place by the version counter, by another tensor through its address; `forget` for the rest."""
    torch.manual_seed(0)
    model, over = Chain(Block(), Block()), tape()
    weight = model.blocks[1].linear.weight
    taped(over, model, (X,))
    with torch.no_grad():
        weight.add_(1)
    assert equal(full(model, (X,)), taped(over, model, (X,)))
    weight.data = weight.data * 2
    assert equal(full(model, (X,)), taped(over, model, (X,)))
    weight.data.mul_(2)
    over.forget()
    assert equal(full(model, (X,)), taped(over, model, (X,)))


def test_a_buffer_that_changed() -> None:
    """BatchNorm's statistics are part of what it is."""
    torch.manual_seed(0)
    model, over = nn.Sequential(nn.BatchNorm1d(5), nn.BatchNorm1d(5)).eval(), tape()
    taped(over, model, (X,))
    model[1].running_mean.data.add_(1)
    assert equal(full(model, (X,)), taped(over, model, (X,)))


def test_the_number_of_threads_is_part_of_the_bits() -> None:
    """After another number of threads nothing of before is replayed."""
    torch.manual_seed(0)
    model, over = Chain(Block(), Block()), tape()
    before = torch.get_num_threads()
    taped(over, model, (X,))
    try:
        torch.set_num_threads(before + 1)
        taped(over, model, (X,))
        assert not over.replays
    finally:
        torch.set_num_threads(before)


def test_other_arguments_are_another_call() -> None:
    """Values, shapes and flags."""
    torch.manual_seed(0)
    model, over = Chain(Block(), Block()), tape()
    for x in (X, X + 1, X[:1], X.double().float().transpose(0, 1).contiguous(), X.transpose(0, 1)):
        assert equal(full(model, (x,)), taped(over, model, (x,)))


class Holding(nn.Module):
    """Holds anything."""

    def __init__(self, held: Any) -> None:
        super().__init__()
        self.held = held


@pytest.mark.parametrize("held", [iter([1]), torch.Generator(), nn.Linear(1, 1).forward])
def test_what_cannot_be_compared_is_unsayable(held: Any) -> None:
    """An iterator, a generator, a method of a module outside."""
    with pytest.raises(Unsayable):
        signature(Holding(held))


def test_locks_and_functions_can_be_compared() -> None:
    """What has no bearing on outputs, and functions by their code and what they close over."""
    factor = 2

    def scale(x: Tensor) -> Tensor:
        return x * factor

    for held in (threading.Lock(), scale, F.gelu, {"a": (1, 2.5, {"b"})}, torch.float32):
        module = Holding(held)
        assert signature(module).said == signature(shell(module).model).said
