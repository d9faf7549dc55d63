"""Fidelity, perplexity and accuracy, against what torch's own losses give."""

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from surgery.errors import SurgeryError
from surgery.evaluate import (
    Evaluator,
    Examples,
    Fidelity,
    Perplexity,
    Report,
    random_tokens,
    tensors,
    token_windows,
)
from surgery.evaluate.answer import Chunk
from surgery.evaluate.data.examples import Batch

Measure = Callable[..., Report]
MASK = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0], [0, 0, 1, 1, 1]])


class Fixed(nn.Module):
    """Gives the logits it was made with to examples that are numbered."""

    def __init__(self, logits: Tensor) -> None:
        super().__init__()
        self.table = nn.Parameter(logits)

    def forward(self, number: Tensor) -> Tensor:
        return self.table[number]


def numbers(seed: int, *shape: int) -> Tensor:
    """Standard normal numbers."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def ids() -> Tensor:
    """The tokens of three windows."""
    return torch.randint(7, (3, 5), generator=torch.Generator().manual_seed(9))


def batch(mask: Tensor | None = MASK) -> Batch:
    """Three windows, padded."""
    return Batch({"input_ids": ids()} | ({} if mask is None else {"attention_mask": mask}))


def numbered(n: int, labels: Tensor | None = None) -> Examples:
    """Examples 0 … n-1 for Fixed."""
    return tensors({"number": torch.arange(n)}, labels)


def test_perplexity_counts_what_follows_a_real_token() -> None:
    """The last position never counts, nor one before or behind padding, nor a token that is only context."""
    counted = Perplexity().counted(batch(), 5).long().tolist()
    assert counted == [[1, 1, 1, 1, 0], [1, 1, 0, 0, 0], [0, 0, 1, 1, 0]]
    fresh = torch.tensor([[0, 0, 0, 1, 1]] * 3).bool()
    context = Batch({"input_ids": ids()}, counted=fresh)
    assert Perplexity().counted(context, 5).long().tolist() == [[0, 0, 1, 1, 0]] * 3


def test_perplexity_is_cross_entropy() -> None:
    """A window's sum is the cross-entropy of its shifted labels, in nats, whatever the padding holds."""
    logits = numbers(0, 3, 5, 7)
    chunk = Chunk(batch(), torch.arange(5), logits)
    sums = Perplexity().sums(chunk, Perplexity().counted(batch(), 5))
    expected = [
        F.cross_entropy(logits[0, :4], ids()[0, 1:], reduction="sum"),
        F.cross_entropy(logits[1, :2], ids()[1, 1:3], reduction="sum"),
        F.cross_entropy(logits[2, 2:4], ids()[2, 3:], reduction="sum"),
    ]
    torch.testing.assert_close(torch.stack(expected).double(), sums[:, 0], atol=1e-5, rtol=0)
    assert sums[:, 1].tolist() == [4, 2, 2]


def test_perplexity_weighs_tokens() -> None:
    """It is the exponential of the mean over tokens, not over windows; beyond numbers it is infinite."""
    assert float(Perplexity().figures(torch.tensor([18.0, 6.0]))) == pytest.approx(math.e**3)
    assert float(Perplexity().figures(torch.tensor([6001.0, 10.0]))) == math.inf


def test_perplexity_beyond_numbers_is_left_out(measure: Measure) -> None:
    """A loss that overflows gives no figure, and the report says so; the others are there."""
    head = torch.zeros(8, 8)
    head[:, 0] = 9000.0
    ids = torch.randint(1, 8, (9, 4), generator=torch.Generator().manual_seed(0))
    model, lost = nn.Embedding(8, 8), nn.Embedding(8, 8)
    lost.weight = nn.Parameter(head)
    report = measure(model, lost, token_windows(ids))
    assert "perplexity" not in report and report["KL"].value > 1000
    assert report.notes == ("The perplexity is beyond what can be written as a number: it is left out.",)


def test_fidelity_is_divergence_and_agreement(measure: Measure) -> None:
    """KL(original ‖ edited) as torch has it and the share of equal likeliest classes, of a classifier."""
    before, after = numbers(0, 12, 7), numbers(0, 12, 7) + 0.5 * numbers(1, 12, 7)
    report = measure(Fixed(before), Fixed(after), numbered(12), "fidelity")
    nats = F.kl_div(after.log_softmax(-1), before.log_softmax(-1), log_target=True, reduction="batchmean")
    assert report["KL"].value == pytest.approx(float(nats), rel=1e-5)
    assert report["agreement"].value == pytest.approx(
        100 * float((before.argmax(1) == after.argmax(1)).double().mean())
    )
    assert report.noun == "example" and report.tokens == 0


def test_fidelity_counts_real_tokens() -> None:
    """Every one once: neither padding nor what is only context."""
    assert Fidelity().counted(batch(), 5).long().tolist() == MASK.tolist()
    fresh = torch.tensor([[0, 0, 0, 1, 1]] * 3).bool()
    assert Fidelity().counted(Batch({"input_ids": ids()}, counted=fresh), 5).sum() == 6


def test_divergence_has_a_direction(measure: Measure) -> None:
    """What the edited model rules out and the original expects costs more than the reverse."""
    sure, unsure = Fixed(torch.tensor([[20.0, 0.0]] * 4)), Fixed(torch.zeros(4, 2))
    assert measure(unsure, sure, numbered(4))["KL"].value > 5 > measure(sure, unsure, numbered(4))["KL"].value


@pytest.mark.parametrize("top", [1, 3])
def test_accuracy(measure: Measure, top: int) -> None:
    """The share of labels among the likeliest classes, of both models, and their difference."""
    before, after = numbers(0, 40, 7), numbers(1, 40, 7)
    labels = torch.randint(7, (40,), generator=torch.Generator().manual_seed(4))

    def share(logits: Tensor) -> float:
        ranks = (logits > logits.gather(1, labels.unsqueeze(1))).sum(1)
        return 100 * float((ranks < top).double().mean())

    figure = measure(Fixed(before), Fixed(after), numbered(40, labels), f"accuracy:top={top}")["accuracy"]
    assert figure.name == ("accuracy" if top == 1 else "top-3 accuracy")
    assert (figure.before, figure.after) == (pytest.approx(share(before)), pytest.approx(share(after)))
    assert figure.difference == pytest.approx(share(after) - share(before)) and figure.better == "higher"


def test_accuracy_per_token(measure: Measure) -> None:
    """Labels of positions, of which those with −100 count nowhere."""
    logits = numbers(0, 6, 5, 7)
    labels = logits.argmax(-1)
    labels[:, 0], labels[:, 1] = -100, (labels[:, 1] + 1) % 7
    report = measure(Fixed(logits), Fixed(logits), numbered(6, labels), "accuracy")
    assert report["accuracy"].after == 75


def test_examples_without_labels_say_nothing(measure: Measure) -> None:
    """Draws without any label do not count; where none was among what was measured, there is no figure."""
    logits, labels = numbers(0, 200, 7), torch.full((200,), -100)
    labels[:3] = torch.tensor([0, 1, 2])
    figure = measure(Fixed(logits), Fixed(numbers(1, 200, 7)), numbered(200, labels), "accuracy")["accuracy"]
    assert figure.interval is not None and math.isfinite(figure.interval.low)
    late = numbered(200, labels)
    first = [int(late.order[:16].tolist().count(row)) for row in range(3)]
    assert first == [0, 0, 0]
    evaluator = Evaluator(Fixed(logits), examples=late)
    evaluator.batch_size = 8
    report = evaluator.evaluate(Fixed(logits), 0.0, tasks=["accuracy", "fidelity"])
    assert "accuracy" not in report and report.unchanged
    assert report.notes == ("Nothing that counts for accuracy was among the 16 examples measured.",)


@pytest.mark.parametrize(
    ("labels", "task", "problem"),
    [
        (None, "accuracy", "accuracy cannot be measured here: the data have no labels"),
        ([0, 1, 7], "accuracy", "labels are out of range; got 7, and 1 such in all, expected 0 to 6"),
        ([0, -1, 3], "accuracy", "labels are out of range; got -1"),
        ([-100, -100, -100], "accuracy", "every label is −100"),
        ([[0, 1]] * 3, "accuracy", r"labels are of shape \(3, 2\), and the model gives one logit per class"),
        ([0, 1, 2], "accuracy:top=8", "top=8, and the model has 7 classes"),
        ([0, 1, 2], "perplexity", "perplexity cannot be measured here: it needs token windows"),
        ([0, 1, 2], "generation", "generation cannot be measured here: it needs token windows"),
        ([0, 1, 2], "layers", "layers cannot be measured here: no blocks are known"),
    ],
)
def test_tasks_that_do_not_fit(measure: Measure, labels: Any, task: str, problem: str) -> None:
    """Each says why, before anything is measured."""
    model = Fixed(numbers(0, 3, 7))
    with pytest.raises(SurgeryError, match=problem):
        measure(model, model, numbered(3, None if labels is None else torch.tensor(labels)), task)


def test_labels_out_of_range_are_said_by_default(measure: Measure) -> None:
    """Where nobody named a task, labels that are wrong are no reason to leave accuracy out in silence."""
    model = Fixed(numbers(0, 3, 7))
    with pytest.raises(SurgeryError, match="labels are out of range; got 9"):
        measure(model, model, numbered(3, torch.tensor([0, 9, 1])))


def test_perplexity_is_refused_where_it_means_nothing(model: nn.Module, measure: Measure) -> None:
    """On noise, and on windows of one real token."""
    with pytest.raises(SurgeryError, match="nothing can be predicted in random tokens"):
        measure(model, model, random_tokens(256, window=16), "perplexity")
    mask = torch.tensor([[1, 0, 0], [0, 0, 1]])
    with pytest.raises(SurgeryError, match="no window has two real tokens side by side"):
        measure(model, model, lone(mask), "perplexity")


def lone(mask: Tensor) -> Examples:
    """Windows of which `mask` says what is real."""
    return token_windows(torch.ones(mask.shape, dtype=torch.int64), mask)


def test_a_token_classifier_has_no_perplexity(measure: Measure) -> None:
    """Logits at each token that are no tokens': fidelity alone."""
    tags = nn.Embedding(64, 5)
    report = measure(tags, tags, token_windows(torch.randint(64, (4, 6))))
    assert [figure.task for figure in report.results] == ["fidelity", "fidelity"]


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("task", ["fidelity", "accuracy"])
def test_logits_that_are_no_numbers(measure: Measure, bad: float, task: str) -> None:
    """NaN and infinite logits are refused in words, of either model, never made into a figure."""
    fine, broken = numbers(0, 3, 7), numbers(1, 3, 7)
    broken[1, 2] = bad
    examples = numbered(3, torch.tensor([0, 1, 2]))
    with pytest.raises(SurgeryError, match=r"the edited model gives logits that are not numbers.* of 21"):
        measure(Fixed(fine), Fixed(broken), examples, task)
    with pytest.raises(SurgeryError, match="the model before surgery gives logits that are not numbers"):
        measure(Fixed(broken), Fixed(fine), examples, task)


def test_padding_may_be_anything(measure: Measure) -> None:
    """NaN at a padded position is nobody's concern and reaches no sum."""
    logits = numbers(0, 3, 5, 7)
    broken = logits.clone()
    broken[1, 3:] = math.nan
    other = Chunk(batch(), torch.arange(5), numbers(1, 3, 5, 7))
    for task in (Perplexity(), Fidelity()):
        counts = task.counted(batch(), 5)
        clean, dirty = (
            task.sums(Chunk(batch(), torch.arange(5), each, other), counts) for each in (logits, broken)
        )
        assert torch.equal(clean, dirty)


def test_half_precision_is_widened(measure: Measure) -> None:
    """bf16 logits are measured in float32, not in bf16."""
    low = numbers(0, 12, 7).bfloat16()
    labels, other = torch.zeros(12, dtype=torch.int64), numbers(1, 12, 7).bfloat16()
    half = measure(Fixed(low), Fixed(other), numbered(12, labels))
    whole = measure(Fixed(low.float()), Fixed(other.float()), numbered(12, labels))
    assert half["KL"] == whole["KL"]
