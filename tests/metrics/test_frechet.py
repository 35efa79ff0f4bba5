"""Closed forms of the Frechet distance."""

from __future__ import annotations

import pytest
import torch

from bozzetto.errors import InputError
from bozzetto.metrics.frechet import frechet_distance


def normal(n: int, d: int, seed: int) -> torch.Tensor:
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_of_a_set_to_itself_is_zero() -> None:
    assert frechet_distance(normal(50, 8, 0), normal(50, 8, 0)) == pytest.approx(0, abs=1e-9)


def test_of_a_moved_set_is_the_squared_way() -> None:
    x, way = normal(50, 8, 0), torch.arange(8.0, dtype=torch.float64)
    assert frechet_distance(x, x + way) == pytest.approx(float(way.square().sum()))


def test_of_a_scaled_set() -> None:
    x = normal(60, 5, 1)
    x = x - x.mean(0)
    # C_b = 9 C_a: trace(C + 9 C - 6 C) = 4 trace(C)
    assert frechet_distance(x, 3 * x) == pytest.approx(4 * float(x.var(0).sum()))


def test_is_the_formula_with_covariances() -> None:
    a, b = normal(200, 6, 2), normal(150, 6, 3) @ normal(6, 6, 4)
    ca, cb = torch.cov(a.T), torch.cov(b.T)
    root = torch.linalg.eigvals(ca @ cb).real.clamp(min=0).sqrt().sum()
    wanted = (a.mean(0) - b.mean(0)).square().sum() + ca.trace() + cb.trace() - 2 * root
    assert frechet_distance(a, b) == pytest.approx(float(wanted))


def test_one_picture_is_no_set() -> None:
    with pytest.raises(InputError, match="at least two"):
        frechet_distance(normal(1, 4, 0), normal(5, 4, 0))
