"""What a replay could miss because neither arguments nor weights show it: each case equals a full run."""

from __future__ import annotations

import gc
import math
import random
from collections.abc import Callable
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.multiprocessing.reductions import StorageWeakRef

from graph.shell import shell
from surgery.evaluate import Evaluator, token_windows
from surgery.evaluate.data import tensors
from tests.surgery.evaluate.conftest import tokens
from tests.zoo import ATLAS

X = torch.randn(16, 4, generator=torch.Generator().manual_seed(3))


class Block(nn.Module):
    """A linear layer and a factor."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 4)
        self.factor = 1.0

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(x) * self.factor


class Chain(nn.Module):
    """Blocks and a head."""

    def __init__(self, *blocks: nn.Module) -> None:
        super().__init__()
        self.layers = nn.ModuleList(blocks)
        self.head = nn.Linear(4, 4)
        self.factor = 1.0

    def forward(self, x: Tensor) -> Tensor:
        for block in self.layers:
            x = block(x)
        return self.head(x)


class Telling(Chain):
    """Writes a number of its own into its blocks before it calls them."""

    def forward(self, x: Tensor) -> Tensor:
        for block in self.layers:
            block.factor = self.factor
        return super().forward(x)


class Noting(Block):
    """Adds to a list that it is given."""

    def forward(self, x: Tensor, noted: list[Tensor] | None = None) -> Tensor:
        out = super().forward(x)
        if noted is not None:
            noted.append(out * torch.arange(4.0))
        return out


class Collecting(Chain):
    """Uses what its blocks noted."""

    def forward(self, x: Tensor) -> Tensor:
        noted: list[Tensor] = []
        for block in self.layers:
            x = block(x, noted)
        return self.head(x) * self.factor + sum(noted)


class Sign(Block):
    """Tells −0.0 from 0.0."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.where(torch.signbit(x), -1.0, 1.0) * self.linear.bias


class Signed(Chain):
    """Gives its first block zeros with a sign."""

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.layers[0](torch.zeros_like(x) * self.factor)) + x


class Configured(Block):
    """Reads a field that its config may lack."""

    def __init__(self, config: Any) -> None:
        super().__init__()
        self.config = config

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(x) * getattr(self.config, "factor", 1.0)


def configured() -> nn.Module:
    """A model with a config of transformers."""
    from transformers import LlamaConfig

    model = Chain(Block())
    model.config = LlamaConfig()
    model.layers = nn.ModuleList(Configured(model.config) for _ in range(2))
    return model


@pytest.mark.parametrize(
    "make, where, value",
    [
        (lambda: Telling(Block(), Block()), "", 2.0),
        (lambda: Collecting(Noting(), Noting()), "", 2.0),
        (lambda: Signed(Sign(), Sign()), "", -1.0),
        (configured, "config", 3.0),
    ],
    ids=["parents", "lists", "signs", "fields"],
)
def test_what_no_tensor_shows(make: Callable[[], nn.Module], where: str, value: float) -> None:
    """Attributes that parents write, lists that blocks write into, signs of zeros, fields a config lacked."""
    torch.manual_seed(0)
    model = make().eval()
    edited = shell(model).model
    (getattr(edited, where) if where else edited).factor = value
    examples = tensors(X)
    taped = Evaluator(model, examples=examples, device="cpu")
    taped.evaluate(model, math.inf)
    full = Evaluator(model, examples=examples, device="cpu", tape_bytes=0).evaluate(edited, math.inf)
    for _ in range(2):
        assert taped.evaluate(edited, math.inf).results == full.results
    assert not full["KL"].unchanged


@contextmanager
def hooked() -> Any:
    """With a hook on every linear layer there is."""
    handle = nn.modules.module.register_module_forward_hook(
        lambda module, _, output: output.exp() if isinstance(module, nn.Linear) else None
    )
    try:
        yield
    finally:
        handle.remove()


@pytest.mark.parametrize("around", [hooked, lambda: torch.autocast("cpu", dtype=torch.bfloat16)])
def test_what_stands_around_an_evaluation(around: Callable[[], AbstractContextManager[Any]]) -> None:
    """Hooks of all modules, and autocast."""
    torch.manual_seed(0)
    model, examples = Chain(Block(), Block(), Block()).eval(), tensors(X, torch.arange(16) % 4)
    edited = shell(model).model
    edited.layers[1] = Block()
    taped = Evaluator(model, examples=examples, device="cpu")
    for within in (nullcontext, around, nullcontext):
        with within():
            full = Evaluator(model, examples=examples, device="cpu", tape_bytes=0)
            assert taped.evaluate(edited, math.inf).results == full.evaluate(edited, math.inf).results


def test_a_state_that_no_attribute_shows() -> None:
    """`random.Random` keeps its own in C: a block that draws from one is never replayed."""

    class Drawing(Block):
        def __init__(self) -> None:
            super().__init__()
            self.chance = random.Random(0)

        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x) * self.chance.random()

    evaluator = Evaluator(Chain(Drawing(), Drawing()).eval(), examples=tensors(X), device="cpu")
    evaluator.evaluate(shell(evaluator.original).model, math.inf)
    assert not evaluator.tape.replays


def test_outputs_that_transformers_collects_by_hooks() -> None:
    """The logits of routers, which lie inside blocks."""
    model, _ = ATLAS["mixtral"]()
    model = shell(model).model.eval()
    model.config.output_router_logits = True
    examples = token_windows(tokens(16, window=8, vocabulary=int(model.config.vocab_size)))
    evaluator = Evaluator(model, examples=examples, device="cpu")
    first = evaluator.evaluate(model, math.inf)
    assert evaluator.evaluate(shell(model).model, math.inf).results == first.results


def test_edited_weights_are_let_go() -> None:
    """Nothing of an edited model lives on in the evaluator."""
    model = Chain(Block(), Block()).eval()
    edited = shell(model).model
    edited.layers[1] = Block()
    storage = StorageWeakRef(edited.layers[1].linear.weight.untyped_storage())
    evaluator = Evaluator(model, examples=tensors(X), device="cpu")
    evaluator.evaluate(edited, math.inf)
    del edited
    gc.collect()
    assert storage.expired()


def test_a_call_that_is_made_twice_is_counted_once() -> None:
    """The same block on the same tensor, twice in a forward."""

    class Twice(Chain):
        def forward(self, x: Tensor) -> Tensor:
            return self.head(self.layers[0](x) + self.layers[0](x))

    evaluator = Evaluator(Twice(Block(), Block()).eval(), examples=tensors(X), device="cpu")
    evaluator.evaluate(evaluator.original, math.inf)
    assert evaluator.tape.store.used_bytes == 2 * X.nbytes  # of the block and of the head
