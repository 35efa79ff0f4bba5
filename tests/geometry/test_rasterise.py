"""The readable rasteriser against closed forms, and the compiled one against the readable one."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from surfaces import hills, plane_depth, rough
from torch import Tensor

from bozzetto.geometry import rasterise, rasterise_fast
from bozzetto.geometry.camera import unproject
from bozzetto.geometry.heightfield import grid_faces
from bozzetto.geometry.pose import PIVOT_DEPTH, move, rotation_matrix
from bozzetto.geometry.rasterise import DepthMap
from bozzetto.types import Camera

Rasterise = Callable[[Tensor, Tensor, Camera, float], DepthMap]
both = pytest.mark.parametrize(
    "run", [rasterise.rasterise_depth, rasterise_fast.rasterise_depth], ids=["reference", "fast"]
)
BACKGROUND = 1.2

# rx, ry, rz, tx, ty, tz of what the two must agree on.
VIEWS = {
    "identity": (0, 0, 0, 0, 0, 0),
    "usual": (0.1, -0.4, 0.05, 0.01, -0.01, 0),
    "steep": (0.2, 1.35, -0.3, 0, 0, 0),
    "from behind": (0, 3.0, 0, 0, 0, 0),
    "half off screen": (0.2, 0.3, 0, 0.09, 0.05, 0),
    "off screen": (0, 0, 0, 0.5, 0, 0),
    "close": (0.4, 0.5, 0, 0, 0, -0.8),
    "through the camera": (1.3, 0.2, 0, 0, 0, -1.0),
    "behind the camera": (0.3, 0, 0, 0, 0, -2.5),
}


def turned(depth: Tensor, camera: Camera, *views: tuple[float, ...]) -> Tensor:
    points = unproject(depth, camera).reshape(len(depth), -1, 3)
    return move(points, torch.tensor(views, dtype=depth.dtype).expand(len(depth), -1))


def triangle_soup(seed: int, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Large triangles through one another, some twice, some without area."""
    generator = torch.Generator().manual_seed(seed)
    place = torch.rand((2, 30, 3), generator=generator, dtype=torch.float64) - 0.5
    vertices = place * torch.tensor([0.3, 0.3, 0.8]) + torch.tensor([0.0, 0.0, 1.0])
    faces = torch.randint(0, 30, (60, 3), generator=generator)
    faces[50:] = faces[:10]
    return vertices.to(dtype), faces


def winners_and_depths(vertices: Tensor, faces: Tensor, camera: Camera) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Winner and depth of the reference, then of the compiled one."""
    winner = rasterise.winning_faces(vertices, faces, camera)
    depth = rasterise.rasterise_depth(vertices, faces, camera, BACKGROUND).depth
    fast_depth, fast_winner = rasterise_fast._RasteriseDepth.apply(vertices, faces, camera, BACKGROUND)
    return winner, depth, fast_winner, fast_depth


def gradient(run: Rasterise, vertices: Tensor, faces: Tensor, camera: Camera, weight: Tensor) -> Tensor:
    leaf = vertices.clone().requires_grad_()
    (run(leaf, faces, camera, BACKGROUND).depth * weight).sum().backward()
    assert leaf.grad is not None
    return leaf.grad


def assert_agreement(vertices: Tensor, faces: Tensor, camera: Camera) -> Tensor:
    """Same winner bit for bit, same depth and gradient to 1e-6; gives the winners."""
    winner, depth, fast_winner, fast_depth = winners_and_depths(vertices, faces, camera)
    assert torch.equal(winner, fast_winner)
    assert torch.allclose(depth, fast_depth, rtol=1e-6, atol=1e-6)
    weight = torch.randn(depth.shape, generator=torch.Generator().manual_seed(5), dtype=depth.dtype)
    expected = gradient(rasterise.rasterise_depth, vertices, faces, camera, weight)
    found = gradient(rasterise_fast.rasterise_depth, vertices, faces, camera, weight)
    assert torch.allclose(found, expected, rtol=1e-6, atol=1e-6 * max(expected.abs().max().item(), 1.0))
    return winner


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("view", VIEWS.values(), ids=VIEWS.keys())
def test_fast_agrees_with_the_reference_on_height_fields(view: tuple[float, ...], dtype: torch.dtype) -> None:
    camera = Camera(17, 60.0 if view == VIEWS["through the camera"] else 10.0)
    for depth in (hills(camera, dtype=dtype), rough(camera, 1, torch.Generator().manual_seed(1), dtype)):
        winner = assert_agreement(turned(depth, camera, view), grid_faces(17), camera)
        if view in (VIEWS["off screen"], VIEWS["behind the camera"]):
            assert (winner == -1).all()
        else:
            assert (winner >= 0).any()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("batch", [2, 3])
def test_fast_agrees_with_the_reference_on_batches(batch: int, dtype: torch.dtype) -> None:
    camera = Camera(12)
    vertices = turned(hills(camera, batch, dtype=dtype), camera, *list(VIEWS.values())[1 : 1 + batch])
    together = assert_agreement(vertices, grid_faces(12), camera)
    for i in range(batch):
        assert torch.equal(together[i : i + 1], rasterise.winning_faces(vertices[i : i + 1], grid_faces(12), camera))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_fast_agrees_with_the_reference_on_any_triangles(dtype: torch.dtype) -> None:
    for seed in range(4):
        vertices, faces = triangle_soup(seed, dtype)
        winner = assert_agreement(vertices, faces, Camera(16))
        assert len(winner.unique()) > 10
        assert winner.max() < 50  # of the same triangle twice the first wins


def test_fast_agrees_with_the_reference_on_vertices_that_are_no_points() -> None:
    camera = Camera(8)
    good = turned(hills(camera), camera, VIEWS["usual"])
    for value in (math.nan, math.inf, -math.inf):
        for axis in range(2):
            broken = good.clone()
            broken[0, 20, axis] = value
            winner, depth, fast_winner, fast_depth = winners_and_depths(broken, grid_faces(8), camera)
            assert torch.equal(winner, fast_winner)
            assert torch.allclose(depth, fast_depth)
            assert depth.isfinite().all()
        nothing = torch.full_like(good, value)
        assert (winners_and_depths(nothing, grid_faces(8), camera)[2] == -1).all()


@both
def test_gradients_are_those_of_finite_differences(run: Rasterise) -> None:
    camera = Camera(5)
    # Turned and shifted so that no pixel centre lies on an edge, where the surface has a kink.
    vertices = turned(
        rough(camera, 2, torch.Generator().manual_seed(4)), camera, VIEWS["usual"], (0.3, 0.7, 0.2, 0, 0, 0)
    )

    def depth(points: Tensor) -> Tensor:
        return run(points, grid_faces(5), camera, BACKGROUND).depth

    assert (depth(vertices) != BACKGROUND).double().mean() > 0.4
    assert torch.autograd.gradcheck(depth, vertices.requires_grad_(), eps=1e-8, atol=1e-5)


@both
@pytest.mark.parametrize("view", [VIEWS["identity"], VIEWS["usual"], (0.3, 0.9, 0.1, 0.0, 0.01, 0.02)])
def test_a_turned_plane_has_the_depth_of_the_turned_plane(run: Rasterise, view: tuple[float, ...]) -> None:
    """n . (p - pivot) = 0 becomes (R n) . (p - pivot - t) = 0, and triangles of a plane lie in it."""
    camera = Camera(33)
    normal = torch.tensor([[0.3, -0.2, -1.0]], dtype=torch.float64)
    depth = plane_depth(camera, normal, normal[:, 2] * PIVOT_DEPTH)
    seen = run(turned(depth, camera, view), grid_faces(33), camera, BACKGROUND)
    angles, shift = torch.tensor([view[:3]], dtype=torch.float64), torch.tensor([view[3:]], dtype=torch.float64)
    turned_normal = (rotation_matrix(angles) @ normal[..., None])[..., 0]
    pivot = torch.tensor([0.0, 0.0, PIVOT_DEPTH], dtype=torch.float64)
    expected = plane_depth(camera, turned_normal, (turned_normal * (pivot + shift)).sum(1))
    assert seen.covered.double().mean() > 0.5
    assert (seen.depth - expected)[seen.covered].abs().max() < 1e-12


@both
@pytest.mark.parametrize("size", [32, 128])
def test_straight_on_every_pixel_is_covered_by_its_own_depth(run: Rasterise, size: int) -> None:
    """Every pixel centre lies on a vertex there, and rounding in float32 opens no hole."""
    camera = Camera(size)
    for dtype, tolerance in ((torch.float32, 5e-6), (torch.float64, 1e-12)):
        depth = rough(camera, 2, torch.Generator().manual_seed(6), dtype)
        seen = run(turned(depth, camera, VIEWS["identity"]), grid_faces(size), camera, BACKGROUND)
        assert seen.covered.all()
        assert (seen.depth - depth).abs().max() < tolerance


@both
def test_the_nearer_surface_hides_the_farther_in_any_order(run: Rasterise) -> None:
    camera = Camera(16)
    one = unproject(torch.full((1, 1, 16, 16), 1.05, dtype=torch.float64), camera).reshape(1, -1, 3)
    other = unproject(torch.full((1, 1, 16, 16), 0.95, dtype=torch.float64), camera).reshape(1, -1, 3) * 0.5
    other[..., 2] = 0.95  # half as wide, so that the farther plane shows around it
    faces = torch.cat((grid_faces(16), grid_faces(16) + 256))
    vertices = torch.cat((one, other), 1)
    seen = run(vertices, faces, camera, BACKGROUND).depth
    assert set(seen.unique().mul(100).round().tolist()) == {95, 105}
    assert torch.equal(seen, run(vertices, faces.flip(0), camera, BACKGROUND).depth)


@both
def test_where_nothing_is_seen_stands_the_background_without_gradient(run: Rasterise) -> None:
    camera = Camera(16)
    vertices = turned(hills(camera), camera, VIEWS["half off screen"]).requires_grad_()
    seen = run(vertices, grid_faces(16), camera, BACKGROUND)
    assert 0.1 < seen.covered.double().mean() < 0.9
    assert torch.equal(seen.depth == BACKGROUND, ~seen.covered)
    (seen.depth * ~seen.covered).sum().backward()
    assert vertices.grad is not None
    assert not vertices.grad.any()
