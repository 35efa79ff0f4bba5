"""Solids of ellipsoids against closed forms, and against the plain way to ask for them."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from bozzetto.bench.animals_render import AnimalRenderer, frame
from bozzetto.bench.animals_shape import build, rotation
from bozzetto.bench.draws import head_generator
from bozzetto.bench.implicit import Ellipsoid, field, normals, openness, pack, trace
from bozzetto.bench.scenes import ellipsoid, pixel_rays
from bozzetto.bench.stage import rotation_from_rpy
from bozzetto.types import Camera


def camera_rays(size: int) -> np.ndarray:
    """Unit rays of all pixel centres, [size^2, 3]."""
    ray = pixel_rays(Camera(size), torch.zeros(1, dtype=torch.float64))[0].permute(1, 2, 0).reshape(-1, 3).numpy()
    return np.ascontiguousarray(ray / np.linalg.norm(ray, axis=1, keepdims=True))


@pytest.mark.parametrize("semi", [(0.05, 0.05, 0.05), (0.06, 0.03, 0.08), (0.02, 0.07, 0.01)])
def test_an_ellipsoid_has_the_depth_and_normals_of_the_closed_form(semi: tuple[float, float, float]) -> None:
    centre = (0.005, -0.01, 1.0)
    scene = ellipsoid(Camera(48), *(torch.tensor([v], dtype=torch.float64) for v in (centre, semi)))
    scale = 20.0  # solids have lengths near 1
    part = Ellipsoid(tuple(scale * c for c in centre), tuple(scale * s for s in semi))  # type: ignore[arg-type]
    table, rays = pack([part]), camera_rays(48)
    distance = trace(table, np.zeros(3), rays)
    hit = np.isfinite(distance)
    assert np.array_equal(hit, scene.mask[0, 0].flatten().numpy())
    depth = (distance * rays[:, 2] / scale)[hit]
    np.testing.assert_allclose(depth, scene.depth[0, 0].flatten().numpy()[hit], rtol=0, atol=1e-11)
    normal = normals(table, distance[hit, None] * rays[hit])
    np.testing.assert_allclose(normal, scene.normal[0].flatten(1).T.numpy()[hit], rtol=0, atol=1e-8)


def test_a_turned_ellipsoid_is_the_ellipsoid_seen_from_elsewhere() -> None:
    own, centre = rotation(20.0, -35.0, 50.0), np.array([0.2, -0.1, 9.0])
    semi, rays = (0.6, 0.3, 0.4), camera_rays(32)
    turned = trace(pack([Ellipsoid((0.2, -0.1, 9.0), semi, own)]), np.zeros(3), rays)
    straight = trace(pack([Ellipsoid((0.0, 0.0, 0.0), semi)]), -centre @ own, np.ascontiguousarray(rays @ own))
    assert np.isfinite(turned).sum() > 50
    np.testing.assert_allclose(turned, straight, rtol=0, atol=1e-10)


def test_a_taper_scales_every_slice() -> None:
    """Slices of constant y are ellipses with semi-axes (1 - t y / a_y) times those of the plain ellipsoid."""
    semi, taper = np.array([0.5, 0.8, 0.3]), 0.6
    table = pack([Ellipsoid((0.0, 0.0, 0.0), (0.5, 0.8, 0.3), taper=taper)])
    turn = np.linspace(0, 2 * np.pi, 40, endpoint=False)
    for y in np.linspace(-0.7, 0.7, 9):
        radius = np.sqrt(1 - (y / semi[1]) ** 2) * (1 - taper * y / semi[1])
        points = np.stack([semi[0] * radius * np.cos(turn), np.full(40, y), semi[2] * radius * np.sin(turn)], 1)
        assert np.abs(field(table, points)).max() < 1e-12


def test_joins_are_the_smooth_minimum_and_cuts_the_smooth_maximum() -> None:
    a, b = Ellipsoid((0.0, 0.0, 0.0), (1.0, 0.8, 0.9)), Ellipsoid((0.9, 0.2, 0.0), (0.5, 0.6, 0.4))
    points = np.random.default_rng(0).uniform(-1.5, 1.5, (500, 3))
    fa, fb = (field(pack([part]), points) for part in (a, b))
    k = 0.3
    for cut in (False, True):
        other = -fb if cut else fb
        h = np.maximum(0, 1 - np.abs(fa - other) / k) ** 2 * k / 4
        expected = np.maximum(fa, other) + h if cut else np.minimum(fa, other) - h
        joined = Ellipsoid(b.centre, b.semi, blend=k, cut=cut)
        np.testing.assert_allclose(field(pack([a, joined]), points), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("index", range(4))
def test_rays_that_ask_only_what_is_felt_end_where_all_parts_are_asked(index: int) -> None:
    renderer = AnimalRenderer(40, supersample=1)
    sample = renderer.draw_sample(head_generator(3, "test", index))
    solid = build(sample.shape)
    table = pack(solid.parts)
    pivot, scale = frame(solid, sample.share, renderer.camera)
    turn = rotation_from_rpy(sample.pose_rad) * (1, -1, -1)
    origin = pivot - np.array([0, 0.018, 1.0]) @ turn / scale
    directions = np.ascontiguousarray(camera_rays(40) @ turn)
    few, all_ = trace(table, origin, directions), trace(table, origin, directions, all_parts=True)
    both = np.isfinite(few) & np.isfinite(all_)
    assert both.sum() > 400
    assert (np.isfinite(few) != np.isfinite(all_)).sum() <= 2  # rays that graze
    np.testing.assert_allclose(few[both], all_[both], rtol=0, atol=1e-9)
    assert np.abs(field(table, origin + few[both, None] * directions[both])).max() < 1e-9


def test_a_ball_is_open_and_a_crease_is_not() -> None:
    ball = Ellipsoid((0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
    at = np.array([[0.0, 0.0, 1.0]])
    assert openness(pack([ball]), at, at, (0.1, 0.5))[0] == pytest.approx(1)
    two = pack([ball, Ellipsoid((1.9, 0.0, 0.0), (1.0, 1.0, 1.0))])
    crease = np.array([[0.95, 0.0, np.sqrt(1 - 0.95**2)]])
    assert openness(two, crease, crease, (0.1, 0.5))[0] < 0.5


@pytest.mark.parametrize("parts", [[], [Ellipsoid((0.0, 0.0, 0.0), (1.0, 1.0, 1.0), cut=True)]])
def test_a_solid_begins_with_something(parts: list[Ellipsoid]) -> None:
    with pytest.raises(ValueError, match="begins with"):
        pack(parts)
