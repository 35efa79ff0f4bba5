from __future__ import annotations

import math

import pytest
import torch

from bozzetto.metrics.normals import angle_between_deg, mean_angle_deviation_deg


def random_normals(b: int, size: int, seed: int = 0) -> torch.Tensor:
    n = torch.randn(b, 3, size, size, generator=torch.Generator().manual_seed(seed))
    n[:, 2] = -n[:, 2].abs() - 0.1
    return n / torch.linalg.vector_norm(n, dim=1, keepdim=True)


@pytest.mark.parametrize("size", [16, 64, 256])
def test_identical_maps_score_zero_at_every_size(size: int) -> None:
    n = random_normals(2, size)
    assert mean_angle_deviation_deg(n, n, torch.ones_like(n[:, :1])).max() < 1e-4


@pytest.mark.parametrize("turn_deg", [1e-3, 0.1, 10.0, 15.0, 20.0, 90.0, 179.0])
def test_normals_turned_by_t_about_perpendicular_axes_score_t(turn_deg: float) -> None:
    n = random_normals(2, 24).double()
    axis = torch.linalg.cross(n, torch.tensor([0.3, 0.9, 0.2]).double()[None, :, None, None].expand_as(n), dim=1)
    axis = axis / torch.linalg.vector_norm(axis, dim=1, keepdim=True)
    t = math.radians(turn_deg)
    turned = n * math.cos(t) + torch.linalg.cross(axis, n, dim=1) * math.sin(t)
    mad = mean_angle_deviation_deg(turned.float(), n.float(), torch.ones(2, 1, 24, 24))
    torch.testing.assert_close(mad, torch.full((2,), turn_deg), rtol=1e-4, atol=2e-5)


def test_length_does_not_matter() -> None:
    a, b = random_normals(1, 16, 0), random_normals(1, 16, 1)
    torch.testing.assert_close(angle_between_deg(a, b), angle_between_deg(3 * a, 1e-3 * b), rtol=1e-4, atol=1e-3)


def test_nan_off_the_mask_does_not_leak() -> None:
    a, b = random_normals(1, 16, 0), random_normals(1, 16, 1)
    mask = torch.zeros(1, 1, 16, 16)
    mask[..., :8] = 1
    expected = angle_between_deg(a, b)[..., :8].mean()
    b[..., 8:] = torch.nan
    torch.testing.assert_close(mean_angle_deviation_deg(a, b, mask)[0], expected, rtol=1e-5, atol=1e-5)
