from __future__ import annotations

import math

import pytest
import torch

from bozzetto.metrics.depth import scale_invariant_depth_error
from bozzetto.metrics.published import (
    mean_angle_deviation_deg_unsup3d,
    normals_from_depth_unsup3d,
    scale_invariant_depth_error_unsup3d,
)
from bozzetto.metrics.report import unit_normals_from_depth
from bozzetto.types import Camera


@pytest.mark.parametrize("size", [64, 128, 256])
def test_a_perfect_plane_scores_what_the_missing_length_says(size: int) -> None:
    """Facing plane at depth 1: |n| = (2 / f)^2; MAD with itself is arccos of the length squared."""
    camera = Camera(size)
    normal = normals_from_depth_unsup3d(torch.ones(1, 1, size, size, dtype=torch.float64), camera)
    inner = torch.zeros(1, 1, size, size, dtype=torch.float64)
    inner[..., 1:-1, 1:-1] = 1
    area = (2 / camera.focal_px) ** 2
    expected = math.degrees(math.acos((area / (area + 1e-7)) ** 2))
    assert expected > 6
    mad = mean_angle_deviation_deg_unsup3d(normal, normal, inner)
    torch.testing.assert_close(mad, torch.tensor([expected], dtype=torch.float64), rtol=1e-6, atol=0)


@pytest.mark.parametrize(("size", "published_deg"), [(64, 6.0), (128, 12.0), (256, 23.6)])
def test_a_perfect_dome_scores_the_documented_degrees(size: int, published_deg: float) -> None:
    camera = Camera(size)
    grid = torch.linspace(-1, 1, size)
    radius_squared = grid[:, None] ** 2 + grid[None] ** 2
    depth = (1.02 - 0.11 * (1 - radius_squared / 0.8).clamp_min(0).sqrt())[None, None]
    mask = (radius_squared < 0.6)[None, None].float()
    normal = normals_from_depth_unsup3d(depth, camera)
    assert abs(mean_angle_deviation_deg_unsup3d(normal, normal, mask).item() - published_deg) < 0.12 * published_deg


def test_the_published_normals_point_away_and_ours_toward_the_camera() -> None:
    depth = torch.full((1, 1, 16, 16), 1.0)
    camera = Camera(16)
    assert normals_from_depth_unsup3d(depth, camera)[:, 2].min() > 0.9
    torch.testing.assert_close(
        unit_normals_from_depth(depth, camera), torch.tensor([0.0, 0.0, -1.0])[None, :, None, None].expand(1, 3, 16, 16)
    )


def test_published_side_equals_ours() -> None:
    generator = torch.Generator().manual_seed(0)
    a, b, m = (0.9 + 0.2 * torch.rand(3, 1, 32, 32, generator=generator) for _ in range(3))
    mask = (m > 1).float()
    torch.testing.assert_close(
        scale_invariant_depth_error_unsup3d(a, b, mask), scale_invariant_depth_error(a, b, mask), rtol=1e-4, atol=1e-6
    )
