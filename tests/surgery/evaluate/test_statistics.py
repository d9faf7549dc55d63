import math
from collections.abc import Callable

import torch
from torch import Tensor

from surgery.evaluate.statistics import Interval, Units, intervals, units


def ratio(sums: Tensor) -> Tensor:
    """The mean over tokens, of sums (…, [nats, tokens])."""
    return sums[..., :1] / sums[..., 1:]


def perplexities(sums: Tensor) -> Tensor:
    """The change of perplexity and of the mean loss, of sums (…, [before, after, tokens])."""
    before, after, tokens = sums.unbind(-1)
    return torch.stack([(after / tokens).exp() - (before / tokens).exp(), (after - before) / tokens], -1)


def exponential(n: int, generator: torch.Generator, shape: int = 1) -> Tensor:
    """Gamma variates of mean 1, (n,): of skewness 2 for shape 1, of 1 for shape 4."""
    return -torch.rand(shape, n, generator=generator, dtype=torch.float64).log().mean(0)


def losses(n: int, generator: torch.Generator) -> Tensor:
    """Examples with a skewed loss before (mean 2 nats) and a more skewed change (mean 0.3), (n, 3).

    Lengths differ up to fivefold.
    """
    tokens = torch.randint(3, 16, (n,), generator=generator).double()
    before = 2 * exponential(n, generator, 4)
    return torch.stack([tokens * before, tokens * (before + 0.3 * exponential(n, generator)), tokens], 1)


def texts(n: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Windows of n texts, one to twelve each, with half of a loss in common: sums (windows, 3), texts."""
    sizes = torch.randint(1, 13, (n,), generator=generator)
    whose = torch.arange(n).repeat_interleave(sizes)
    count = len(whose)
    own, change = 2 * exponential(n, generator, 4), 0.3 * exponential(n, generator, 4)
    before = exponential(count, generator, 4) + own[whose] / 2
    after = before + 0.15 * exponential(count, generator, 4) + change[whose] / 2
    return torch.stack([10 * before, 10 * after, torch.full_like(before, 10)], 1), whose


TRUE = torch.tensor([math.exp(2.3) - math.exp(2.0), 0.3], dtype=torch.float64)


def coverage(experiment: Callable[[torch.Generator], Units], experiments: int) -> Tensor:
    """The share of simulated data sets whose interval holds the true figure, for each figure."""
    generator, held = torch.Generator().manual_seed(11), torch.zeros(2)
    for seed in range(experiments):
        found = intervals(perplexities, experiment(generator), seed=seed, resamples=300)
        assert found is not None
        held += (found[:, 0] <= TRUE) & (found[:, 1] >= TRUE)
    return held / experiments


def test_coverage() -> None:
    """Of 2,000 skewed data sets, 93 to 97 in a hundred have the true change in their interval."""

    def experiment(generator: torch.Generator) -> Units:
        n = int(torch.tensor([16, 24, 60, 200])[torch.randint(4, (1,), generator=generator)])
        return units(losses(n, generator), None)

    covered = coverage(experiment, 2000)
    assert bool(((covered > 0.93) & (covered < 0.97)).all()), covered


def test_coverage_of_texts() -> None:
    """So it is where windows of one text are alike, if texts are drawn; drawing windows holds too few."""
    covered = coverage(lambda generator: units(*texts(30, generator)), 1000)
    assert bool(((covered > 0.925) & (covered < 0.97)).all()), covered
    naive = coverage(lambda generator: units(texts(30, generator)[0], None), 200)
    assert bool((naive < 0.9).all()), naive


def test_coverage_of_accuracy() -> None:
    """Of 1,000 paired experiments on 60 examples, about 95 in a hundred hold the true change of accuracy."""
    generator, held = torch.Generator().manual_seed(3), 0
    for seed in range(1000):
        right = (torch.rand(60, generator=generator) < 0.9).double()
        flipped = (torch.rand(60, generator=generator) < 0.2).double()
        rows = torch.stack([right * (1 - flipped) - right, torch.ones(60)], 1)
        found = intervals(ratio, units(rows, None), seed=seed, resamples=300)
        assert found is not None
        held += int(found[0, 0] <= -0.18 <= found[0, 1])
    assert 0.93 < held / 1000 < 0.97


def test_same_seed_same_bounds() -> None:
    """The draws hang on the seed alone and leave the global random state as it is."""
    drawn, state = units(losses(30, torch.Generator().manual_seed(0)), None), torch.get_rng_state()
    first, second, other = (intervals(perplexities, drawn, seed=seed) for seed in (4, 4, 5))
    assert first is not None and second is not None and other is not None
    assert torch.equal(first, second) and not torch.equal(first, other)
    assert torch.equal(state, torch.get_rng_state())


def test_pairing_narrows() -> None:
    """A shift common to all examples has a far narrower interval paired than the losses themselves."""
    generator = torch.Generator().manual_seed(0)
    nats, tokens = 10 * exponential(50, generator, 4), torch.full((50,), 10.0, dtype=torch.float64)
    shift = 0.1 + 0.01 * exponential(50, generator)
    paired = intervals(perplexities, units(torch.stack([nats, nats + shift, tokens], 1), None), seed=0)
    alone = intervals(ratio, units(torch.stack([nats, tokens], 1), None), seed=0)
    assert paired is not None and alone is not None
    assert paired[1, 0] > 0
    assert 10 * (paired[1, 1] - paired[1, 0]) < alone[0, 1] - alone[0, 0]


def test_equal_examples_have_no_width() -> None:
    """Where all examples give one figure, so do all draws."""
    found = intervals(ratio, units(torch.tensor([[2.0, 4.0]] * 9), None), seed=0)
    assert found is not None and found.tolist() == [[0.5, 0.5]]


def test_rare_mistakes_take_percentiles() -> None:
    """One wrong example of sixty leaves many draws without any: the interval reaches to none, not beyond."""
    rows = torch.cat([torch.zeros(59, 1), torch.ones(1, 1)]), torch.ones(60, 1)
    found = intervals(ratio, units(torch.cat(rows, 1), None), seed=0)
    assert found is not None
    low, high = found[0].tolist()
    assert low == 0 and 0.03 < high < 0.08


def test_figures_without_derivative() -> None:
    """A figure that torch cannot differentiate has percentiles."""
    drawn = units(losses(40, torch.Generator().manual_seed(0)), None)
    found = intervals(lambda sums: perplexities(sums.detach()), drawn, seed=0)
    assert found is not None
    assert bool((found[:, 0] < found[:, 1]).all())


def test_texts_are_drawn_whole() -> None:
    """Windows of one text are added up; with fewer than eight texts they stay apart."""
    sums = torch.arange(20.0).view(10, 2)
    together = units(sums, torch.tensor([0, 0, 1, 2, 3, 4, 5, 6, 7, 7]))
    assert together.sums[0].tolist() == [2, 4] and together.sums[-1].tolist() == [34, 36]
    assert together.weights.tolist() == [2, 1, 1, 1, 1, 1, 1, 2]
    assert len(units(sums, torch.tensor([0, 0, 1, 1, 2, 2, 3, 3, 4, 4])).sums) == 10


def test_unequal_texts_widen() -> None:
    """One text that outweighs all others is worth few; equal ones are worth their number."""
    assert Units(torch.zeros(9, 1), torch.ones(9)).effective == 9
    assert Units(torch.zeros(9, 1), torch.tensor([92.0] + [1.0] * 8)).effective < 1.2


def test_one_example_has_no_interval() -> None:
    """Nothing can be said about the spread of a single example."""
    assert intervals(ratio, units(torch.ones(1, 2), None), seed=0) is None


def test_interval() -> None:
    """An interval knows its half-width and what lies in it."""
    assert (Interval(1, 2).half_width, 1.5 in Interval(1, 2), 0 in Interval(1, 2)) == (0.5, True, False)
