from __future__ import annotations

import pytest
import torch

from bozzetto.bench.scenes import bumps, example_scenes, pixel_rays, plane, sphere
from bozzetto.geometry.heightfield import normals
from bozzetto.metrics import erode, mean_angle_deviation_deg
from bozzetto.types import Camera


def t(*values: object) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


@pytest.mark.parametrize("size", [16, 64, 256])
def test_normals_are_unit_and_face_the_camera_at_any_size(size: int) -> None:
    camera = Camera(size)
    for name, scene in example_scenes(camera).items():
        assert scene.depth.shape == (2, 1, size, size), name
        assert (torch.linalg.vector_norm(scene.normal, dim=1) - 1).abs().max() < 1e-6, name
        assert ((scene.normal * pixel_rays(camera, scene.depth)).sum(1) <= 1e-6).all(), name
        assert scene.depth.min() > 0.9, name
        assert scene.depth.max() <= 1.1, name


def test_points_of_the_sphere_lie_on_it_and_its_front_is_where_it_must_be() -> None:
    camera, centre, radius = Camera(65), t((0, 0, 1.0), (0.01, -0.02, 1.02)), t(0.05, 0.03)
    scene = sphere(camera, centre, radius)
    points = scene.depth * pixel_rays(camera, centre)
    distance = torch.linalg.vector_norm(points - centre[:, :, None, None], dim=1, keepdim=True)
    torch.testing.assert_close(distance[scene.mask], radius[:, None, None, None].expand_as(distance)[scene.mask])
    torch.testing.assert_close(scene.depth[0, 0, 32, 32], t(0.95)[0])
    outward = (points - centre[:, :, None, None]) / radius[:, None, None, None]
    torch.testing.assert_close(scene.normal, torch.where(scene.mask, outward, scene.normal))


def test_points_of_the_plane_lie_on_it() -> None:
    camera, normal = Camera(32), torch.nn.functional.normalize(t((0.2, -0.3, -1), (0, 0, -1)), dim=1)
    scene = plane(camera, t(1.0, 0.97), normal)
    points = scene.depth * pixel_rays(camera, normal) - t((0, 0, 1.0), (0, 0, 0.97))[:, :, None, None]
    assert (points * normal[:, :, None, None]).sum(1).abs().max() < 1e-14


def test_bump_normals_are_orthogonal_to_the_surface_by_autograd() -> None:
    camera = Camera(24)
    arguments = (t(1.04), t((0.05, -0.01)), t(((0.0, 0.01), (0.03, -0.02))), t((0.03, 0.02)))
    scene = bumps(camera, *arguments)
    xy = pixel_rays(camera, arguments[0])[0, :2].clone().requires_grad_()
    offset = xy[None] - arguments[2][0][:, :, None, None]
    height = arguments[1][0][:, None, None] * torch.exp(-(offset**2).sum(1) / (2 * arguments[3][0][:, None, None] ** 2))
    depth = arguments[0] - height.sum(0)
    torch.testing.assert_close(depth, scene.depth[0, 0])
    (slope,) = torch.autograd.grad(depth.sum(), xy)
    for axis in range(2):
        tangent = torch.cat([depth[None] * (torch.arange(2) == axis)[:, None, None], torch.zeros_like(depth)[None]])
        tangent = tangent + slope[axis] * torch.cat([xy, torch.ones_like(depth)[None]])
        assert (tangent * scene.normal[0]).sum(0).abs().max() < 1e-14


@pytest.mark.parametrize("name", ["sphere", "ellipsoid", "plane", "bumps"])
def test_finite_differences_of_the_depth_approach_the_exact_normals(name: str) -> None:
    errors = []
    for size in (32, 64, 128):
        scene = example_scenes(Camera(size), torch.float64)[name]
        inside = erode(scene.mask.double(), size // 8)
        errors.append(mean_angle_deviation_deg(normals(scene.depth, Camera(size)), scene.normal, inside))
    assert (errors[2] < 0.5).all()
    assert (errors[2] <= errors[0] + 1e-9).all()


def test_items_are_independent() -> None:
    camera, centre, radius = Camera(20), t((0, 0, 1.0), (0.01, 0, 1.02)), t(0.05, 0.03)
    both = sphere(camera, centre, radius)
    for i in range(2):
        alone = sphere(camera, centre[i : i + 1], radius[i : i + 1])
        assert torch.equal(both.depth[i : i + 1], alone.depth)
        assert torch.equal(both.normal[i : i + 1], alone.normal)


def test_the_step_changes_only_at_the_middle() -> None:
    scene = example_scenes(Camera(16))["step"]
    jump = (scene.depth[..., 1:] != scene.depth[..., :-1]).nonzero()[:, 3].unique()
    assert jump.tolist() == [7]
