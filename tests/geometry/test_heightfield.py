from __future__ import annotations

import pytest
import torch
from surfaces import hills, plane_depth, rough, sphere

from bozzetto.geometry.camera import rays, unproject
from bozzetto.geometry.heightfield import grid_faces, normals
from bozzetto.types import Camera


@pytest.mark.parametrize("size", [2, 3, 16])
def test_the_faces_tile_the_grid_once(size: int) -> None:
    faces = grid_faces(size)
    assert faces.shape == (2 * (size - 1) ** 2, 3)
    corner = torch.stack((faces % size, faces // size), -1).double()  # u, v
    one, two = corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0]
    doubled_area = one[:, 0] * two[:, 1] - one[:, 1] * two[:, 0]
    assert torch.equal(doubled_area, torch.full_like(doubled_area, doubled_area[0].item()))
    assert doubled_area[0].abs() == 1
    # Every directed edge once: no face twice, and neighbours run round the same way.
    edges = torch.cat((faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]))
    assert len(edges.unique(dim=0)) == len(edges)
    # With each edge's reverse only the rim's are new: every other edge is shared by two.
    both_ways = torch.cat((edges, edges.flip(1))).unique(dim=0)
    assert len(both_ways) - len(edges) == 4 * (size - 1)


def test_face_normals_and_pixel_normals_point_the_same_way() -> None:
    camera = Camera(24)
    depth = hills(camera)
    corner = unproject(depth, camera).reshape(-1, 3)[grid_faces(24)]
    face = torch.linalg.cross(corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0], dim=-1)
    pixel = normals(depth, camera)[0].permute(1, 2, 0).reshape(-1, 3)[grid_faces(24)].mean(1)
    assert (torch.cosine_similarity(face, pixel, dim=-1) > 0.9).all()


@pytest.mark.parametrize("size", [64, 128, 256])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_normals_are_unit_at_any_size(size: int, dtype: torch.dtype) -> None:
    camera = Camera(size)
    depth = torch.cat(
        (rough(camera, 1, torch.Generator().manual_seed(size)), hills(camera), torch.ones(1, 1, size, size))
    )
    length = torch.linalg.vector_norm(normals(depth.to(dtype), camera), dim=1)
    assert (length - 1).abs().max() < 1e-6


def test_normals_point_toward_the_camera_on_any_surface() -> None:
    camera = Camera(64, 40.0)
    depth = rough(camera, 3, torch.Generator().manual_seed(2))
    assert (normals(depth, camera) * rays(camera, like=depth).permute(2, 0, 1)).sum(1).max() < 0


@pytest.mark.parametrize("size", [16, 64, 128])
def test_the_normal_of_a_plane_is_its_own_at_every_pixel(size: int) -> None:
    camera = Camera(size)
    normal = torch.tensor([[0.0, 0.0, -1.0], [0.6, 0.0, -0.8], [0.3, -0.7, -0.9]], dtype=torch.float64)
    normal = normal / torch.linalg.vector_norm(normal, dim=1, keepdim=True)
    depth = plane_depth(camera, normal, normal[:, 2])  # through (0, 0, 1)
    assert (normals(depth, camera) - normal[:, :, None, None]).abs().max() < 1e-10


def test_the_normals_of_a_sphere_come_with_the_square_of_the_pixel() -> None:
    worst = []
    for size in (64, 128, 256):
        camera = Camera(size)
        depth, truth = sphere(camera, radius=0.2)
        error = (normals(depth, camera) - truth).abs()[..., 1:-1, 1:-1]
        worst.append(error.max().item())
    assert worst[0] < 2e-4
    assert worst[0] / worst[1] > 3.9
    assert worst[1] / worst[2] > 3.9


def test_normals_of_items_do_not_mix() -> None:
    camera = Camera(16)
    depth = rough(camera, 3, torch.Generator().manual_seed(3))
    assert torch.equal(normals(depth, camera), torch.cat([normals(item[None], camera) for item in depth]))
