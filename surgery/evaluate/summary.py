"""From sums per example to figures with intervals."""

import torch
from torch import Tensor

from surgery.evaluate.report import Change, Measured
from surgery.evaluate.statistics import interval, resampled_sums

HIGHEST_NATS = 600.0
"""Beyond this mean loss of a window the perplexity is no longer a number in double precision."""


def perplexity_change(before: Tensor, after: Tensor, *, seed: int) -> Change | None:
    """The change of perplexity from sums (examples, [nats, tokens]) of both models on the same examples.

    The interval is that of the difference, both perplexities recomputed on each draw. None where
    a window's loss is beyond what a perplexity can be written for.
    """
    if bool((torch.cat([before, after])[:, 0] > HIGHEST_NATS * after[:, 1].repeat(2)).any()):
        return None
    columns = torch.stack([before[:, 0], after[:, 0], after[:, 1]], 1)

    def both(sums: Tensor) -> Tensor:
        return (sums[:, :2] / sums[:, 2:]).exp()

    was, now = both(columns.sum(0, keepdim=True))[0].tolist()
    drawn = both(resampled_sums(columns, seed=seed))
    return Change(was, now, now - was, interval(drawn[:, 1] - drawn[:, 0], len(columns)))


def mean(values: Tensor, weights: Tensor, *, seed: int, scale: float = 1.0) -> Measured:
    """`scale` times the weighted mean from sums per example, (examples,) each."""
    columns = torch.stack([values, weights], 1)
    total, drawn = columns.sum(0), resampled_sums(columns, seed=seed)
    return Measured(
        float(scale * total[0] / total[1]), interval(scale * drawn[:, 0] / drawn[:, 1], len(columns))
    )
