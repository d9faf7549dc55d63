import copy
import math
import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import BertConfig, BertForMaskedLM

from graph.shell import shell
from surgery.errors import SurgeryError
from surgery.evaluate import Evaluator, Examples, Report, Stopped, random_tokens, tensors, token_windows

Scale = Callable[[nn.Module, float], nn.Module]
Draw = Callable[..., Tensor]


def counting(model: nn.Module) -> list[int]:
    """The sizes of the batches that shells of `model` made from now on run on."""
    sizes: list[int] = []
    model.register_forward_pre_hook(
        lambda module, args, words: sizes.append(len(words["input_ids"])), with_kwargs=True
    )
    return sizes


class Scarce(nn.Module):
    """Embeds and projects tokens; runs out of memory on more than `room` windows at a time."""

    def __init__(self, room: int) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.room, self.embed, self.head = room, nn.Embedding(256, 8), nn.Linear(8, 256)

    def forward(self, ids: Tensor) -> Tensor:
        if len(ids) > self.room:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 7 GiB")
        return self.head(self.embed(ids))


def test_perplexity_by_hand(model: nn.Module, examples: Examples, scale: Scale) -> None:
    """Both perplexities are the exponential of the mean cross-entropy that one computes by hand."""
    edited = scale(model, 0.7)
    change = Evaluator(model, examples=examples).evaluate(edited, math.inf)["perplexity"]
    expected = []
    for each in (model, edited):
        with torch.no_grad():
            logits = each(input_ids=examples.inputs["input_ids"]).logits[:, :-1]
        expected.append(
            F.cross_entropy(logits.flatten(0, 1), examples.inputs["input_ids"][:, 1:].flatten()).exp().item()
        )
    assert pytest.approx(expected, rel=1e-5) == [change.before, change.after]
    assert change.after - change.before == change.difference


@pytest.mark.parametrize("padding", [slice(9, 16), slice(0, 7)])
def test_padding_is_masked(model: nn.Module, draw: Draw, scale: Scale, padding: slice) -> None:
    """What a padded window holds behind or before its text changes nothing."""
    ids, mask = draw(6), torch.ones(6, 16)
    mask[:, padding] = 0
    other = torch.where(mask.bool(), ids, 7)
    edited, reports = scale(model, 0.7), []
    for windows in (ids, other):
        reports.append(Evaluator(model, examples=token_windows(windows, mask)).evaluate(edited))
    assert reports[0].tokens == 54
    assert pytest.approx(reports[0]["KL"].value) == reports[1]["KL"].value
    assert pytest.approx(reports[0]["perplexity"].after) == reports[1]["perplexity"].after


def test_runs_without_cache_in_evaluation_mode(model: nn.Module, examples: Examples) -> None:
    """Models that are training and caching are run without dropout and without a cache."""
    seen = set()

    def look(module: nn.Module, args: object, words: dict[str, object]) -> None:
        seen.add((module.training, words["use_cache"]))

    model.register_forward_pre_hook(look, with_kwargs=True)
    Evaluator(model.train(), examples=examples).evaluate(shell(model).model)
    assert seen == {(False, False)}


def test_the_original_has_no_change(model: nn.Module, examples: Examples) -> None:
    """The model itself, and a shell of it with nothing changed, are reported as exactly unchanged."""
    evaluator = Evaluator(model, examples=examples)
    for same in (model, shell(model).model):
        report = evaluator.evaluate(same)
        assert (report.unchanged, report["KL"].value, report["agreement"].value) == (True, 0.0, 100.0)
        assert str(report).startswith("no change, perplexity ")


def test_a_real_change_is_seen(model: nn.Module, examples: Examples, scale: Scale) -> None:
    """A model whose head is weakened differs in all three figures, with intervals."""
    report = Evaluator(model, examples=examples).evaluate(scale(model, 0.3))
    assert report["KL"].interval is not None
    assert (report.unchanged, report["perplexity"].no_change) == (False, False)
    assert report["KL"].interval.low > 0
    assert report["agreement"].value == 100  # a scaled head ranks tokens as before


def test_agreement_falls(model: nn.Module, examples: Examples) -> None:
    """Cutting a block changes some of the likeliest tokens, not all."""
    edited = shell(model).model
    del edited.model.layers[1]
    edited.config.num_hidden_layers = 1
    report = Evaluator(model, examples=examples).evaluate(edited)
    assert 5 < report["agreement"].value < 95
    assert len(model.model.layers) == 2


def test_baseline_is_measured_once(model: nn.Module, examples: Examples, scale: Scale) -> None:
    """The original's own part runs it once: a second evaluation of perplexity alone does not run it."""
    sizes = counting(model.model)
    evaluator = Evaluator(model, examples=examples, tasks=["perplexity"])
    first = evaluator.evaluate(scale(model, 0.7), math.inf)
    edited = scale(model, 0.5)
    edited.model._forward_pre_hooks.clear()
    sizes.clear()
    second = evaluator.evaluate(edited, math.inf)
    assert sizes == []
    assert first["perplexity"].before == second["perplexity"].before


def test_no_answer_is_kept(model: nn.Module, examples: Examples, scale: Scale) -> None:
    """Of the original only sums per example are kept, a few numbers for each."""
    evaluator = Evaluator(model, examples=examples)
    evaluator.evaluate(scale(model, 0.7), math.inf)
    assert sum(sums.numel() for sums in evaluator.kept.sums.values()) == 2 * len(examples)


def test_the_body_runs_once_per_batch(model: nn.Module, examples: Examples, scale: Scale) -> None:
    """However many tasks look at however many chunks of logits, each model's blocks run once per batch."""
    edited, sizes = scale(model, 0.7), []
    for each in (model, edited):
        each.model.layers[0].register_forward_hook(lambda *_: sizes.append(1))
    evaluator = Evaluator(model, examples=examples, tasks=["fidelity", "perplexity", "layers", "embedding"])
    same = {f"model.layers.{i}": f"model.layers.{i}" for i in (0, 1)}
    evaluator.evaluate(model, 0.0, origins=same)
    sizes.clear()
    evaluator.evaluate(edited, math.inf, origins=same)
    assert len(sizes) == 2 * 5


def test_longer_budget_pairs_with_shorter(model: nn.Module, examples: Examples, scale: Scale) -> None:
    """A short budget measures the first two batches in order, a longer one these and more."""
    evaluator, edited = Evaluator(model, examples=examples), scale(model, 0.7)
    short, long = evaluator.evaluate(edited, 0.0), evaluator.evaluate(edited, math.inf)
    first = token_windows(examples.batch(0, 16).inputs["input_ids"])
    same = Evaluator(model, examples=first).evaluate(edited, math.inf)
    assert (short.examples, long.examples) == (16, 40)
    assert pytest.approx(same["perplexity"].after) == short["perplexity"].after


def test_two_evaluators_agree(model: nn.Module, examples: Examples, scale: Scale) -> None:
    """The figures and intervals are the same each time; only the seconds differ."""
    first, second = (
        Evaluator(model, examples=examples).evaluate(scale(model, 0.7), math.inf) for _ in range(2)
    )
    assert {**first.to_dict(), "seconds": 0} == {**second.to_dict(), "seconds": 0}


def test_progress(model: nn.Module, examples: Examples, scale: Scale) -> None:
    """Progress rises with each batch and ends at one, with the windows done."""
    heard: list[tuple[float, str]] = []
    Evaluator(model, examples=examples).evaluate(
        scale(model, 0.7), math.inf, lambda share, label: heard.append((share, label))
    )
    shares = [share for share, _ in heard]
    assert [pytest.approx(0.2), 1.0] == [shares[0], shares[-1]]
    assert sorted(shares) == shares
    assert (len(heard), heard[-1][1]) == (5, "40 windows")


def test_stopped_between_batches(model: nn.Module, examples: Examples, scale: Scale) -> None:
    """A stop asked for while it runs ends it with Stopped before the next batch."""
    stop, labels = threading.Event(), []

    def progress(share: float, label: str) -> None:
        labels.append(label)
        stop.set()

    with pytest.raises(Stopped):
        Evaluator(model, examples=examples).evaluate(scale(model, 0.7), math.inf, progress, stop)
    assert labels == ["8 windows"]


def test_stopped_between_blocks(model: nn.Module, examples: Examples) -> None:
    """A stop asked for within a forward ends it at the next block, and a new evaluation works."""
    stop = threading.Event()
    edited, ran = shell(model).model, []
    edited.model.layers[0].register_forward_hook(lambda *_: stop.set())
    edited.model.layers[1].register_forward_hook(lambda *_: ran.append(1))
    evaluator = Evaluator(model, examples=examples)
    with pytest.raises(Stopped):
        evaluator.evaluate(edited, math.inf, stop=stop)
    assert ran == []
    assert evaluator.evaluate(model).unchanged


@pytest.mark.parametrize(("original", "edited"), [(3, 99), (99, 3), (3, 3)])
def test_out_of_memory_halves(draw: Draw, original: int, edited: int) -> None:
    """When either model runs out of memory the batch is halved, all windows are measured, and it is said."""
    examples = token_windows(draw(20))
    evaluator = Evaluator(Scarce(original), examples=examples)
    report = evaluator.evaluate(Scarce(edited), math.inf)
    expected = Evaluator(Scarce(99), examples=examples).evaluate(Scarce(99), math.inf)
    assert report.notes == ("Out of memory: went on with batches of 2.",)
    assert (report.examples, report.unchanged) == (20, True)
    assert pytest.approx(expected["perplexity"].before) == report["perplexity"].before


def test_no_room_for_one(draw: Draw) -> None:
    """Where not even one window fits, it is refused with the way out."""
    with pytest.raises(SurgeryError, match=r"one window does not fit into the memory of cpu\. Try"):
        Evaluator(Scarce(0), examples=token_windows(draw(4))).evaluate(Scarce(99))


def test_logits_that_are_no_numbers(model: nn.Module, examples: Examples, scale: Scale) -> None:
    """A model that gives NaN is refused in words."""
    with pytest.raises(SurgeryError, match="the edited model gives logits that are not numbers"):
        Evaluator(model, examples=examples).evaluate(scale(model, float("nan")))


def test_random_tokens(model: nn.Module, scale: Scale) -> None:
    """On random tokens there is fidelity but no perplexity, and the report says what they show."""
    report = Evaluator(model, examples=random_tokens(256, window=16)).evaluate(scale(model, 0.7))
    assert report.get("perplexity") is None
    assert report["KL"].value > 0
    assert "(random tokens: shows that the model runs, not how well; " in str(report)


def test_no_perplexity_for_a_model_that_looks_ahead(draw: Draw) -> None:
    """A masked language model sees what it would predict: fidelity only, and the reason."""
    torch.manual_seed(0)
    bert = BertForMaskedLM(
        BertConfig(
            vocab_size=256,
            hidden_size=32,
            num_hidden_layers=1,
            num_attention_heads=2,
            intermediate_size=32,
            max_position_embeddings=64,
        )
    )
    report = Evaluator(bert, examples=token_windows(draw(8))).evaluate(bert)
    assert report.get("perplexity") is None
    assert report.notes == ("The model looks ahead, so it has no perplexity.",)


def test_one_window(model: nn.Module, draw: Draw, scale: Scale) -> None:
    """A single window gives figures without intervals and says so."""
    report = Evaluator(model, examples=token_windows(draw(1))).evaluate(scale(model, 0.7))
    assert (report["KL"].interval, report.notes) == (None, ("A single window has no interval.",))


def test_given_models_are_untouched(model: nn.Module, examples: Examples, scale: Scale) -> None:
    """Neither model changes: tensors, flags, gradients, hooks, config; nor random state and grad mode."""
    edited = scale(model, 0.7)
    model.train()
    edited.model.layers[0].train(False)

    def seen(each: nn.Module) -> list[Any]:
        return [
            [(path, id(module), module.training, len(module._forward_pre_hooks)) for path, module in
             each.named_modules()],
            [(path, id(p), p.data_ptr(), p._version, p.requires_grad, p.grad) for path, p in
             each.named_parameters()],
            [(path, b.data_ptr(), b.sum().item()) for path, b in each.named_buffers()],
            copy.deepcopy(each.config.to_dict()),
        ]  # fmt: skip

    values = [p.detach().clone() for p in model.parameters()]
    before, state = (seen(model), seen(edited)), torch.get_rng_state()
    Evaluator(model, examples=examples).evaluate(edited)
    assert before == (seen(model), seen(edited))
    assert all(torch.equal(a, b) for a, b in zip(values, model.parameters(), strict=True))
    assert torch.equal(state, torch.get_rng_state())
    assert torch.is_grad_enabled()


def test_random_state_is_put_back(draw: Draw) -> None:
    """A model that draws random numbers even in evaluation leaves the caller's stream as it was."""

    class Noisy(Scarce):
        def forward(self, ids: Tensor) -> Tensor:
            return super().forward(ids) + torch.randn(256)

    evaluator, model = Evaluator(Noisy(99), examples=token_windows(draw(8))), Noisy(99)
    state = torch.get_rng_state()
    evaluator.evaluate(model)
    assert torch.equal(state, torch.get_rng_state())


@pytest.mark.parametrize(
    ("edited", "problem"),
    [
        (
            nn.Sequential(nn.Embedding(256, 3), nn.Linear(4, 256)),
            "edited model cannot run .* RuntimeError: mat1",
        ),
        (nn.Sequential(nn.Embedding(9, 3), nn.Linear(3, 256)), "cannot run on these examples: IndexError"),
        (
            nn.Sequential(nn.Embedding(256, 3), nn.Flatten()),
            r"another vocabulary or other classes.*got 48 logits, expected 256",
        ),
        (nn.Embedding(256, 3), "another vocabulary or other classes.*got 3 logits, expected 256"),
    ],
)
def test_models_that_cannot_be_compared(
    model: nn.Module, examples: Examples, edited: nn.Module, problem: str
) -> None:
    """A model that fails, gives no logits or predicts other tokens is refused with what happened."""
    with pytest.raises(SurgeryError, match=problem):
        Evaluator(model, examples=examples).evaluate(edited)


@pytest.mark.parametrize("budget_s", [-1.0, math.nan])
def test_budget_is_a_time(model: nn.Module, examples: Examples, budget_s: float) -> None:
    """A negative budget or none at all is refused."""
    with pytest.raises(SurgeryError, match="a budget is a time"):
        Evaluator(model, examples=examples).evaluate(model, budget_s)


def test_large_logits_take_smaller_batches(
    model: nn.Module, draw: Draw, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where a model gives its logits whole, those of a batch are limited."""
    monkeypatch.setattr("surgery.evaluate.bench.LOGITS_BYTES", 3 * 16 * 256 * 4)
    for each, size in ((Scarce(99), 3), (model, 8)):
        evaluator = Evaluator(each, examples=token_windows(draw(20)))
        evaluator.evaluate(each, 0.0)
        assert evaluator.batch_size == size


def test_report_survives_json(model: nn.Module, examples: Examples, scale: Scale) -> None:
    """A measured report is the same after a round trip."""
    report = Evaluator(model, examples=examples).evaluate(scale(model, 0.7))
    assert report == Report.from_dict(report.to_dict())


def test_few_texts_are_said(model: nn.Module, draw: Draw, scale: Scale) -> None:
    """Windows of many texts are drawn by text; of fewer than eight they count as independent, with a note."""
    edited, windows = scale(model, 0.7), draw(40)
    many = token_windows(windows, documents=torch.arange(40) // 4)
    few = token_windows(windows, documents=torch.arange(40) // 10)
    reports = [Evaluator(model, examples=each).evaluate(edited, math.inf) for each in (many, few)]
    assert [len(report.notes) for report in reports] == [0, 1]
    assert "taken to be independent" in reports[1].notes[0]
    assert reports[0]["KL"].value == pytest.approx(reports[1]["KL"].value)
    assert reports[0]["KL"].interval != reports[1]["KL"].interval


def test_notes_of_the_data_are_in_the_report(model: nn.Module, draw: Draw) -> None:
    """What was left out of the data a reader must know."""
    examples = replace(token_windows(draw(4)), notes=("4 of 9 rows, drawn at random.",))
    assert Evaluator(model, examples=examples).evaluate(model).notes == examples.notes


def test_images_of_few_pixels_take_larger_batches() -> None:
    """Sixty-four of 8 × 8 pixels at a time, eight of 224 × 224."""
    model = nn.Flatten()
    sizes = [
        Evaluator(model, examples=tensors(torch.zeros(9, *shape))).batch_size
        for shape in ((1, 8, 8), (3, 64, 64), (3, 224, 224))
    ]
    assert sizes == [64, 8, 8]
