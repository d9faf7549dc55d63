"""Least squares from sums: what lstsq finds, judged on tokens that it never saw."""

from __future__ import annotations

import pytest
import torch

from surgery.stitching.fitting import Fit


def drawn(tokens: int, inputs: int, outputs: int, noise: float = 0.1) -> tuple[torch.Tensor, torch.Tensor]:
    """X and a noisy linear map of it."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(tokens, inputs, generator=generator, dtype=torch.float64)
    matrix = torch.randn(inputs, outputs, generator=generator, dtype=torch.float64)
    error = noise * torch.randn(tokens, outputs, generator=generator, dtype=torch.float64)
    return x, x @ matrix + 3 + error


@pytest.mark.parametrize(("inputs", "outputs"), [(6, 6), (6, 9), (9, 4)])
def test_it_is_least_squares(inputs: int, outputs: int) -> None:
    """In batches, the solution of lstsq on four fifths of each, and R² as it is written out."""
    x, y = drawn(200, inputs, outputs)
    fit = Fit.between(inputs, outputs)
    for start in (0, 100):
        fit.add(x[start : start + 100], y[start : start + 100])
    z = torch.cat([x, torch.ones(200, 1, dtype=torch.float64)], 1)
    seen = torch.arange(200) % 100 < 80
    solution = fit.solution()
    assert torch.allclose(solution, torch.linalg.lstsq(z[seen], y[seen]).solution, atol=1e-9)
    for sums, rows in ((fit.fitted, seen), (fit.held_out, ~seen)):
        left = (y[rows] - z[rows] @ solution).square().sum()
        wanted = 1 - left / (y[rows] - y[rows].mean(0)).square().sum()
        assert sums.r2(solution) == pytest.approx(float(wanted), abs=1e-9)
        assert sums.tokens == int(rows.sum())


def test_a_sample_is_not_the_whole() -> None:
    """As many tokens as unknowns fit what is noise: R² is one on them, and far below zero on others."""
    generator = torch.Generator().manual_seed(1)
    x, y = (torch.randn(41, 32, generator=generator, dtype=torch.float64) for _ in range(2))
    fit = Fit.between(32, 32)
    fit.add(x, y)
    assert fit.fitted.tokens == 33
    assert fit.fitted.r2(fit.solution()) == pytest.approx(1, abs=1e-6)
    assert fit.held_out.r2(fit.solution()) < -1


def test_what_data_leave_open_stays() -> None:
    """Inputs that fill three of eight dimensions: the identity elsewhere, and no huge numbers."""
    x = torch.zeros(60, 8, dtype=torch.float64)
    x[:, :3] = torch.randn(60, 3, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    fit = Fit.between(8, 8)
    fit.add(x, 2 * x)
    wanted = torch.diag(torch.tensor([2.0] * 3 + [1.0] * 5, dtype=torch.float64))
    assert torch.allclose(fit.solution(), torch.cat([wanted, torch.zeros(1, 8)]), atol=1e-9)
