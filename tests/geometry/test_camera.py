from __future__ import annotations

import math

import pytest
import torch
from surfaces import rough

from bozzetto.geometry.camera import pixel_grid, project, rays, to_normalised, unproject
from bozzetto.types import Camera


@pytest.mark.parametrize("size", [16, 17, 64, 128, 256])
@pytest.mark.parametrize("fov_deg", [10.0, 70.0])
def test_projecting_what_was_unprojected_is_the_pixel_grid(size: int, fov_deg: float) -> None:
    camera = Camera(size, fov_deg)
    depth = rough(camera, 2, torch.Generator().manual_seed(0))
    grid = pixel_grid(camera, like=depth)
    assert (project(unproject(depth, camera), camera) - grid).abs().max() < 1e-10
    single = project(unproject(depth.float(), camera), camera)
    assert (single - grid.float()).abs().max() < 4e-7 * size


def test_the_grid_counts_columns_then_rows() -> None:
    grid = pixel_grid(Camera(5), like=torch.zeros(()))
    assert grid[3, 1].tolist() == [1, 3]  # row 3, column 1


def test_the_outermost_pixel_centres_span_the_field_of_view() -> None:
    camera = Camera(65, 10.0)
    ray = rays(camera, like=torch.zeros((), dtype=torch.float64))
    left, right, top = ray[32, 0], ray[32, 64], ray[0, 32]
    assert torch.cosine_similarity(left, right, dim=0).item() == pytest.approx(math.cos(math.radians(10)), abs=1e-12)
    assert torch.equal(ray[32, 32], torch.tensor([0.0, 0.0, 1.0], dtype=torch.float64))
    assert left[0] < 0 < right[0]  # x to the right
    assert top[1] < 0  # y down


def test_unproject_keeps_depth_as_z() -> None:
    camera = Camera(9)
    depth = rough(camera, 3, torch.Generator().manual_seed(1))
    assert torch.equal(unproject(depth, camera)[..., 2], depth[:, 0])


def test_minus_one_and_one_are_pixel_centres() -> None:
    camera = Camera(8)
    corners = to_normalised(torch.tensor([[0.0, 0.0], [7.0, 7.0], [3.5, 0.0]]), camera)
    assert torch.equal(corners, torch.tensor([[-1.0, -1.0], [1.0, 1.0], [0.0, -1.0]]))
