from __future__ import annotations

import math

import pytest
import torch

from bozzetto.method.sampling import DISTRIBUTIONS, LightDistribution, ViewDistribution, find_distribution
from bozzetto.nets.heads import ViewScale

UNITS = ViewScale(60.0, 0.1, 0.1)


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_views_have_the_mean_and_deviation_of_their_row() -> None:
    views = ViewDistribution(
        mean=(0.1, -0.2, 0.0, 0.0, 0.05, 0.0), sd=(0.13, 0.33, 0.07, 0.06, 0.05, 0.02), yaw_scale=1.2
    )
    drawn = views.draw(40_000, UNITS, seeded(0)) / UNITS.factors(torch.zeros(6))
    sd = torch.tensor(views.sd) * torch.tensor([1, 1.2, 1, 1, 1, 1])
    assert torch.allclose(drawn.mean(0), torch.tensor(views.mean), atol=0.006)
    assert torch.allclose(drawn.std(0), sd, rtol=0.02)
    off_diagonal = torch.corrcoef(drawn.T) - torch.eye(6)
    assert off_diagonal.abs().max() < 0.03


def test_views_have_the_correlation_of_their_row() -> None:
    matrix = torch.eye(6)
    matrix[0, 3] = matrix[3, 0] = 0.8
    matrix[1, 2] = matrix[2, 1] = -0.5
    views = ViewDistribution(sd=(0.1,) * 6, correlation=tuple(tuple(row) for row in matrix.tolist()))
    drawn = views.draw(40_000, UNITS, seeded(1))
    assert torch.allclose(torch.corrcoef(drawn.T), matrix, atol=0.03)
    assert torch.allclose(drawn.std(0) / UNITS.factors(drawn), torch.tensor(0.1), rtol=0.03)


def test_a_view_without_depth_translation_has_none() -> None:
    drawn = ViewDistribution(sd=(0.1,) * 6).draw(50, ViewScale(), seeded(0))
    assert not drawn[:, 5].any()
    assert drawn[:, :5].all()


def test_lights_fill_their_ranges_and_lie_on_the_published_formula() -> None:
    lights = LightDistribution()
    own = torch.tensor([0.4, 0.6, 9.0, 9.0]).expand(20_000, 4)  # the photo's direction does not matter
    ambient, diffuse, dx, dy = lights.draw(own, seeded(0)).unbind(1)
    strength = diffuse - 0.6
    assert torch.allclose(ambient, 0.4 - 0.6 * strength, atol=1e-6)
    for values, (low, high) in ((dx, (-1, 1)), (dy, (-0.2, 0.8)), (strength, (-0.1, 0.6))):
        assert low - 1e-6 <= values.min() < low + 0.01
        assert high - 0.01 < values.max() <= high + 1e-6
        assert values.mean().item() == pytest.approx((low + high) / 2, abs=0.02)
        assert values.std().item() == pytest.approx((high - low) / math.sqrt(12), rel=0.03)


def test_draws_are_a_function_of_the_generator() -> None:
    row = find_distribution("face")
    own = torch.rand(4, 4)
    first = row.views.draw(4, UNITS, seeded(3)), row.lights.draw(own, seeded(3))
    torch.rand(10)
    again = row.views.draw(4, UNITS, seeded(3)), row.lights.draw(own, seeded(3))
    other = row.views.draw(4, UNITS, seeded(4)), row.lights.draw(own, seeded(4))
    for a, b, c in zip(first, again, other, strict=True):
        assert torch.equal(a, b)
        assert not torch.equal(a, c)


@pytest.mark.parametrize("category", DISTRIBUTIONS)
def test_rows_are_usable(category: str) -> None:
    row = DISTRIBUTIONS[category]
    assert len(row.views.mean) == len(row.views.sd) == 6
    assert all(sd >= 0 for sd in row.views.sd)
    assert row.lights.dx[0] < row.lights.dx[1]
    assert row.lights.dy[0] < row.lights.dy[1]
    assert find_distribution(category) is row


def test_a_category_without_a_row_gets_the_general_one() -> None:
    assert find_distribution("teapot") is DISTRIBUTIONS["object"]
