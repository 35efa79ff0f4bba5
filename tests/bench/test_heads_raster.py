from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

from bozzetto.bench.heads_raster import BACKGROUND, interpolate, rasterise, vertex_normals
from bozzetto.bench.scenes import pixel_rays, sphere
from bozzetto.types import Camera

MakeBall = Callable[[tuple[float, float, float], float, int], tuple[np.ndarray, np.ndarray]]


def test_a_fine_ball_has_the_depth_and_normals_of_the_sphere(make_ball: MakeBall) -> None:
    camera = Camera(48)
    points, triangles = make_ball((0.01, -0.005, 1.02), 0.06, 128)
    points, triangles = np.ascontiguousarray(points), np.ascontiguousarray(triangles.astype(np.int32))
    triangle, weights, depth = rasterise(points, triangles, camera.focal_px, camera.centre_px, 48, 1)
    truth = sphere(camera, torch.tensor([[0.01, -0.005, 1.02]]).double(), torch.tensor([0.06]).double())
    mask = truth.mask[0, 0].numpy()
    assert (mask != (triangle >= 0)).mean() < 0.01
    both = mask & (triangle >= 0)
    facing = both & (truth.normal[0, 2].numpy() < -0.3)
    assert np.abs(depth - truth.depth[0, 0].numpy())[facing].max() < 2e-4
    _, first, group = np.unique(np.round(points, 9), axis=0, return_index=True, return_inverse=True)
    normals = vertex_normals(points, triangles, first[group.reshape(-1)].astype(np.int32))
    seen = interpolate(normals, triangles, triangle, weights)
    cosine = (seen * truth.normal[0].permute(1, 2, 0).numpy()).sum(-1) / np.maximum(np.linalg.norm(seen, axis=-1), 1e-9)
    assert np.degrees(np.arccos(np.clip(cosine[facing], -1, 1))).max() < 0.5


def test_interpolation_is_perspective_correct() -> None:
    """A slanted triangle's interpolated positions are the points of its plane on each pixel's ray."""
    camera = Camera(32)
    points = np.array([[-0.06, -0.05, 0.8], [0.07, -0.04, 1.3], [0.0, 0.07, 1.0]])
    triangles = np.array([[0, 1, 2]], dtype=np.int32)
    triangle, weights, depth = rasterise(points, triangles, camera.focal_px, camera.centre_px, 32, 1)
    seen = interpolate(points, triangles, triangle, weights)
    inside = triangle >= 0
    assert inside.sum() > 50
    rays = pixel_rays(camera, torch.zeros(1, dtype=torch.float64))[0].permute(1, 2, 0).numpy()
    np.testing.assert_allclose(seen[inside], (rays * np.where(inside, depth, 0)[..., None])[inside], atol=1e-6)


def test_the_nearer_of_two_triangles_wins_in_either_order() -> None:
    camera = Camera(16)
    near = np.array([[-0.05, -0.05, 0.95], [0.05, -0.05, 0.95], [0.0, 0.05, 0.95]])
    points = np.concatenate([near, near + np.array([0, 0, 0.1])])
    for order in ([[0, 1, 2], [3, 4, 5]], [[3, 4, 5], [0, 1, 2]]):
        triangles = np.array(order, dtype=np.int32)
        triangle, _, depth = rasterise(points, triangles, camera.focal_px, camera.centre_px, 16, 1)
        assert set(np.unique(triangle[depth < 1])) == {order.index([0, 1, 2])}
        assert abs(depth[8, 8] - 0.95) < 1e-12
        assert triangle[0, 0] == BACKGROUND


def test_the_middle_sample_of_three_is_the_pixel_centre(make_ball: MakeBall) -> None:
    camera = Camera(16)
    points, triangles = make_ball((0.0, 0.0, 1.0), 0.05, 16)
    triangles = triangles.astype(np.int32)
    plain = rasterise(points, triangles, camera.focal_px, camera.centre_px, 16, 1)[2]
    fine = rasterise(points, triangles, camera.focal_px, camera.centre_px, 16, 3)[2]
    np.testing.assert_allclose(fine[1::3, 1::3], plain, rtol=1e-9)
