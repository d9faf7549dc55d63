"""Evaluations over the tape: the figures of a full run, from less work."""

from __future__ import annotations

import gc
import inspect
import math
import weakref
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import surgery
from graph.shell import shell
from surgery.evaluate import Evaluator, default_examples, token_windows
from surgery.evaluate.data import tensors
from tests.surgery.evaluate.conftest import decoder, tokens
from tests.surgery.evaluate.tape.forwards import changed
from tests.zoo import ATLAS

EXAMPLES = token_windows(tokens(20))


def evaluators(model: nn.Module, examples: Any) -> tuple[Evaluator, Evaluator]:
    """One over a tape, one without."""
    taped = Evaluator(model, examples=examples, device="cpu")
    return taped, Evaluator(model, examples=examples, device="cpu", tape_bytes=0)


@pytest.mark.parametrize("name", ["llama", "gpt2", "gemma3", "mixtral", "bert", "vit", "resnet", "swin"])
def test_figures_are_those_of_a_full_run(name: str) -> None:
    """Report for report, over a series of edits, intervals and all."""
    model, inputs = ATLAS[name]()
    model = shell(model).model
    taped, full = evaluators(model, default_examples(model, inputs=inputs))
    paths = [path for path, _ in model.named_parameters()]
    for path in (None, paths[-1], paths[len(paths) // 2], None, paths[0]):
        edited = model if path is None else changed(model, path)
        assert taped.evaluate(edited, 0.0).results == full.evaluate(edited, 0.0).results
    assert taped.tape.store.used_bytes > 0


def test_an_edit_costs_what_comes_after_it() -> None:
    """Of six blocks, edited at the fourth, three run again: what is kept besides is theirs and the norm's."""
    model: Any = decoder(blocks=6).eval()
    evaluator = Evaluator(model, examples=EXAMPLES, device="cpu", tasks=["perplexity"])
    evaluator.evaluate(model, math.inf)
    before = evaluator.tape.store.used_bytes
    evaluator.evaluate(changed(model, "model.layers.3.mlp.up_proj.weight"), math.inf)
    of_a_block = len(EXAMPLES) * 16 * 32 * 4
    assert evaluator.tape.store.used_bytes - before == 4 * of_a_block


def test_weights_written_into_are_noticed() -> None:
    """Those of the edited model, and those of the original, whose own figures are measured again."""
    model: Any = decoder(blocks=3).eval()
    evaluator, _ = evaluators(model, EXAMPLES)
    edited = changed(model, "model.layers.1.mlp.up_proj.weight")
    first = evaluator.evaluate(edited, math.inf)
    with torch.no_grad():
        model.model.layers[0].mlp.up_proj.weight.mul_(1.5)
    second = evaluator.evaluate(edited, math.inf)
    _, full = evaluators(model, EXAMPLES)
    assert second.results == full.evaluate(edited, math.inf).results
    assert second["perplexity"].before != first["perplexity"].before


def test_touch_is_for_what_torch_does_not_count() -> None:
    """`p.data.mul_` changes no version: the session is told."""
    session = surgery.open(decoder(blocks=3).eval())
    session.evaluate(math.inf, EXAMPLES, "cpu")
    session.model.model.layers[0].mlp.up_proj.weight.data.mul_(1.5)
    session.touch()
    _, full = evaluators(session.opened.model, EXAMPLES)
    found = session.evaluate(math.inf, EXAMPLES, "cpu")
    assert found.results == full.evaluate(session.model, math.inf).results


class Late(nn.Module):
    """Counts the batches that hold a large number, and adds the count to what it gives."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 4)
        self.register_buffer("count", torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        if x.abs().max() > 50:
            self.count += 1
        return self.linear(x) + self.count


def test_a_block_that_writes_into_itself_late_is_measured_without_the_tape() -> None:
    """The figures are those of a full run."""
    torch.manual_seed(0)
    model = nn.Sequential(Late(), nn.Linear(4, 3)).eval()
    x = torch.randn(40, 4)
    x[33] *= 1000
    examples = tensors(x, torch.randint(3, (40,)))
    taped, full = evaluators(model, examples)
    edited = changed(model, "1.weight")
    for evaluator in (taped, full):
        evaluator.batch_size = 4
    assert taped.evaluate(edited, math.inf).results == full.evaluate(edited, math.inf).results


@pytest.mark.parametrize("batch, tape_bytes", [(4, None), (4, 0), (64, None), (64, 0)])
def test_what_a_model_writes_into_itself_is_not_there_in_the_next_evaluation(
    batch: int, tape_bytes: int | None
) -> None:
    """The same evaluation gives the same figures again, whatever was measured before."""
    torch.manual_seed(0)
    model = nn.Sequential(Late(), nn.Linear(4, 3)).eval()
    x = torch.randn(40, 4)
    x[33] *= 1000
    examples = tensors(x, torch.randint(3, (40,)))
    evaluator = Evaluator(model, examples=examples, device="cpu", tape_bytes=tape_bytes)
    evaluator.batch_size = batch
    first, second = (evaluator.evaluate(changed(model, "1.weight"), math.inf) for _ in range(2))
    assert first.results == second.results


def test_memory_that_runs_out_takes_the_tape_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """And then the batch is as large as it was."""
    model: Any = decoder(blocks=3).eval()
    evaluator, full = evaluators(model, EXAMPLES)
    evaluator.evaluate(model, math.inf)
    before, size = evaluator.tape.store.limit_bytes, evaluator.batch_size
    raised: list[int] = []
    forward = type(model).forward

    def once(self: Any, *args: Any, **kwargs: Any) -> Any:
        if not raised:
            raised.append(1)
            raise torch.OutOfMemoryError("out of memory")
        return forward(self, *args, **kwargs)

    once.__signature__ = inspect.signature(forward)  # type: ignore[attr-defined]
    monkeypatch.setattr(type(model), "forward", once)
    edited = changed(model, "model.layers.1.mlp.up_proj.weight")
    found = evaluator.evaluate(edited, math.inf)
    assert raised and evaluator.batch_size == size
    assert evaluator.tape.store.limit_bytes == before // 2
    assert found.results == full.evaluate(edited, math.inf).results


def test_a_tape_keeps_no_model() -> None:
    """An edited model that was evaluated is gone once nobody else holds it."""
    model: Any = decoder(blocks=3).eval()
    evaluator, _ = evaluators(model, EXAMPLES)
    edited: Any = changed(model, "model.layers.1.mlp.up_proj.weight")
    weight = weakref.ref(edited.model.layers[1].mlp.up_proj.weight)
    evaluator.evaluate(edited, math.inf)
    gc.disable()
    try:
        del edited
        assert weight() is None
    finally:
        gc.enable()
