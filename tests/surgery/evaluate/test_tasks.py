import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from surgery.errors import SurgeryError
from surgery.evaluate import Batch, Fidelity, Perplexity, tasks

MASK = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0], [0, 0, 1, 1, 1]]).bool()


def logits(seed: int) -> Tensor:
    """Random logits of three windows of five tokens out of seven."""
    return torch.randn(3, 5, 7, generator=torch.Generator().manual_seed(seed))


def ids() -> Tensor:
    """The tokens of three windows."""
    return torch.randint(7, (3, 5), generator=torch.Generator().manual_seed(9))


def test_perplexity_is_cross_entropy() -> None:
    """A window's sum is the cross-entropy of its shifted labels, in nats."""
    measured = Perplexity().measure(logits(0), None, Batch(ids()))
    expected = [
        F.cross_entropy(row[:-1], own[1:], reduction="sum") for row, own in zip(logits(0), ids(), strict=True)
    ]
    torch.testing.assert_close(torch.stack(expected).double(), measured[:, 0], atol=1e-5, rtol=0)
    assert measured[:, 1].tolist() == [4, 4, 4]


def test_perplexity_skips_padding() -> None:
    """A padded window counts the tokens that follow a real one, whatever the padding holds."""
    measured = Perplexity().measure(logits(0), None, Batch(ids(), MASK))
    right = F.cross_entropy(logits(0)[1, :2], ids()[1, 1:3], reduction="sum")
    left = F.cross_entropy(logits(0)[2, 2:4], ids()[2, 3:], reduction="sum")
    torch.testing.assert_close(torch.stack([right, left]).double(), measured[1:, 0], atol=1e-5, rtol=0)
    assert measured[:, 1].tolist() == [4, 2, 2]


def test_fidelity_is_divergence_and_agreement() -> None:
    """A window's sums are KL(reference ‖ edited) and the positions where the likeliest token agrees."""
    edited, reference = logits(0), logits(0) + 0.5 * logits(1)
    measured = Fidelity().measure(edited, reference, Batch(ids(), MASK))
    before = reference.softmax(-1)
    nats = (before * (before.log() - edited.softmax(-1).log())).sum(-1)
    agreed = (edited.argmax(-1) == reference.argmax(-1)).double()
    torch.testing.assert_close((nats * MASK).sum(1).double(), measured[:, 0], atol=1e-5, rtol=0)
    assert (agreed * MASK).sum(1).tolist() == measured[:, 1].tolist()
    assert measured[:, 2].tolist() == [5, 3, 3]


def test_divergence_has_a_direction() -> None:
    """What the edited model rules out and the reference expects costs more than the reverse."""
    sure, unsure = torch.tensor([[[20.0, 0.0]]]), torch.tensor([[[0.0, 0.0]]])
    batch = Batch(torch.zeros(1, 1, dtype=torch.int64))
    assert Fidelity().measure(sure, unsure, batch)[0, 0] > 5 > Fidelity().measure(unsure, sure, batch)[0, 0]


@pytest.mark.parametrize("chunk", [1, 20, 40, 80])
def test_chunks_change_nothing(monkeypatch: pytest.MonkeyPatch, chunk: int) -> None:
    """The sums are the same however few logits are looked at together."""
    batch, edited, reference = Batch(ids(), MASK), logits(0), logits(1)
    whole = [task.measure(edited, reference, batch) for task in (Perplexity(), Fidelity())]
    monkeypatch.setattr(tasks, "CHUNK", chunk)
    parts = [task.measure(edited, reference, batch) for task in (Perplexity(), Fidelity())]
    for expected, actual in zip(whole, parts, strict=True):
        torch.testing.assert_close(expected, actual, atol=1e-5, rtol=0)


def test_checked_between_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """The check is called once per chunk."""
    monkeypatch.setattr(tasks, "CHUNK", 14)
    calls: list[None] = []
    Fidelity().measure(logits(0), logits(1), Batch(ids()), lambda: calls.append(None))
    assert len(calls) == 9


def test_half_precision_is_widened() -> None:
    """bf16 logits are measured in float32, not in bf16."""
    low = logits(0).bfloat16()
    expected = Perplexity().measure(low.float(), None, Batch(ids()))
    assert torch.equal(expected, Perplexity().measure(low, None, Batch(ids())))


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), float("-inf")])
def test_logits_that_are_no_numbers(bad: float) -> None:
    """NaN and infinite logits are refused in words, never made into a figure."""
    broken = logits(0)
    broken[0, 1, 2] = bad
    with pytest.raises(SurgeryError, match=r"the edited model gives logits that are not numbers.* of 105"):
        Fidelity().measure(broken, logits(1), Batch(ids()))
    with pytest.raises(SurgeryError, match="the model before surgery gives logits that are not numbers"):
        Fidelity().measure(logits(1), broken, Batch(ids()))


def test_padding_may_be_anything() -> None:
    """NaN at a padded position is nobody's concern and reaches no sum."""
    broken = logits(0)
    broken[1, 3:] = float("nan")
    for task in (Perplexity(), Fidelity()):
        measured = task.measure(broken, logits(1), Batch(ids(), MASK))
        assert torch.equal(task.measure(logits(0), logits(1), Batch(ids(), MASK)), measured)
