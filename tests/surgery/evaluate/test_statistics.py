import pytest
import torch

from surgery.evaluate.statistics import Interval, bounds, interval, resampled_sums
from surgery.evaluate.summary import mean, perplexity_change


def normal(n: int, columns: int, seed: int = 0) -> torch.Tensor:
    """Standard normal numbers (n, columns), float64."""
    return torch.randn(n, columns, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("n", [100, 10])
def test_coverage(n: int) -> None:
    """Of 2,000 experiments, 93 to 97 in a hundred have the true mean difference in their interval."""
    before = normal(n, 2000)
    after = before + 0.3 + 0.5 * normal(n, 2000, seed=1)
    means = resampled_sums(after - before, seed=2) / n
    low, high = bounds(means, n)
    covered = ((low <= 0.3) & (high >= 0.3)).double().mean()
    assert 0.93 < covered < 0.97


def test_same_seed_same_draws() -> None:
    """The draws hang on the seed alone and leave the global random state as it is."""
    sums, state = normal(30, 2), torch.get_rng_state()
    assert torch.equal(resampled_sums(sums, seed=4), resampled_sums(sums, seed=4))
    assert not torch.equal(resampled_sums(sums, seed=4), resampled_sums(sums, seed=5))
    assert torch.equal(state, torch.get_rng_state())


def test_draws_are_of_whole_examples() -> None:
    """Each draw takes as many rows as there are, each row with all its columns."""
    drawn = resampled_sums(torch.tensor([[1.0, 10.0, 1.0], [2.0, 20.0, 1.0], [5.0, 50.0, 1.0]]), seed=0)
    assert torch.equal(10 * drawn[:, 0], drawn[:, 1])
    assert {3.0} == set(drawn[:, 2].tolist())
    assert {3.0, 15.0} <= set(drawn[:, 0].tolist())


def test_pairing_narrows() -> None:
    """A shift common to all examples has a far narrower interval paired than the figures themselves."""
    tokens = torch.full((50, 1), 10.0)
    nats = 10 + 2 * normal(50, 1).abs()
    before, after = torch.cat([nats, tokens], 1), torch.cat([nats + 0.1 + 0.01 * normal(50, 1, 1), tokens], 1)
    change, alone = perplexity_change(before, after, seed=0), mean(nats[:, 0], tokens[:, 0], seed=0)
    assert change is not None and change.interval is not None and alone.interval is not None
    assert not change.no_change
    assert 10 * change.interval.half_width < alone.interval.half_width


def test_perplexity_weighs_tokens() -> None:
    """Perplexity is the exponential of the mean over tokens, not over windows."""
    before, after = torch.tensor([[3.0, 1.0], [3.0, 5.0]]), torch.tensor([[6.0, 1.0], [6.0, 5.0]])
    change = perplexity_change(before.double(), after.double(), seed=0)
    e = torch.e
    assert change is not None
    assert pytest.approx((e, e**2, e**2 - e)) == (change.before, change.after, change.difference)


def test_perplexity_beyond_numbers() -> None:
    """A loss whose exponential overflows gives no perplexity rather than infinity."""
    fine, lost = torch.tensor([[3.0, 1.0]] * 4), torch.tensor([[3.0, 1.0]] * 3 + [[900.0, 1.0]])
    assert perplexity_change(fine, lost, seed=0) is None


def test_one_example_has_no_interval() -> None:
    """Nothing can be said about the spread of a single example."""
    assert interval(torch.ones(2000), 1) is None


def test_interval() -> None:
    """An interval knows its half-width and what lies in it."""
    assert (Interval(1, 2).half_width, 1.5 in Interval(1, 2), 0 in Interval(1, 2)) == (0.5, True, False)
