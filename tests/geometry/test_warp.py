from __future__ import annotations

import pytest
import torch
from surfaces import hills, rough

from bozzetto.geometry.camera import pixel_grid, to_normalised, unproject
from bozzetto.geometry.pose import move_back
from bozzetto.geometry.render import look
from bozzetto.geometry.warp import canonical_grid, resize_grid, sample
from bozzetto.types import Camera

VIEWS = torch.tensor([[0.1, -0.3, 0.05, 0.01, -0.01, 0.0], [-0.2, 0.4, 0.1, 0.0, 0.01, 0.02]], dtype=torch.float64)


@pytest.mark.parametrize("size", [16, 64, 128])
def test_the_identity_view_is_the_identity_warp_whatever_the_depth(size: int) -> None:
    camera = Camera(size)
    depth = rough(camera, 2, torch.Generator().manual_seed(0))
    identity = to_normalised(pixel_grid(camera, like=depth), camera)
    grid = canonical_grid(depth, torch.zeros(2, 6, dtype=torch.float64), camera)
    assert (grid - identity).abs().max() < 1e-12
    picture = torch.rand((2, 3, size, size), generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    # One part in 10^10, where the other convention of grid_sample is wrong by more than a half.
    assert (sample(picture, grid.clamp(-1, 1)) - picture).abs().max() < 1e-10
    single = sample(picture.float(), canonical_grid(depth.float(), torch.zeros(2, 6), camera).clamp(-1, 1))
    assert (single - picture).abs().max() < 1e-6 * size


def test_every_seen_pixel_is_carried_back_onto_the_canonical_surface() -> None:
    errors = []
    for size in (32, 64):
        camera = Camera(size)
        depth = hills(camera, 2)
        sight = look(depth, VIEWS, camera)
        back = move_back(unproject(sight.depth, camera).reshape(2, -1, 3), VIEWS)
        read = sample(depth, sight.grid)[:, 0].reshape(2, -1)
        inside = (sight.mask[:, 0].reshape(2, -1) > 0) & (sight.grid.abs().amax(-1).reshape(2, -1) < 1)
        assert inside.double().mean() > 0.7
        errors.append((back[..., 2] - read)[inside].abs().max().item())
    assert errors[0] < 2e-4  # triangles against bilinear patches
    assert errors[0] / errors[1] > 3  # of second order in the pixel


def test_outside_the_picture_is_zero_and_one_picture_serves_many_grids() -> None:
    picture = torch.rand((1, 2, 8, 8), generator=torch.Generator().manual_seed(2))
    grid = torch.rand((3, 5, 5, 2), generator=torch.Generator().manual_seed(3)) * 2 - 1
    grid[1] += 4
    out = sample(picture, grid)
    assert not out[1].any()
    assert torch.equal(out, torch.cat([sample(picture, g[None]) for g in grid]))


@pytest.mark.parametrize("size", [5, 16, 31])
def test_resizing_keeps_ramps_and_corners(size: int) -> None:
    ramp = torch.linspace(0, 1, 16, dtype=torch.float64).expand(1, 1, 16, 16)
    assert torch.allclose(
        resize_grid(ramp, size), torch.linspace(0, 1, size, dtype=torch.float64).expand(1, 1, size, size)
    )
