"""Heads of animals: the same truth and the same rules as heads of people."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
import torch

from bozzetto.bench.animals import AnimalsConfig
from bozzetto.bench.animals_kinds import KINDS, SHARES
from bozzetto.bench.animals_paint import noise
from bozzetto.bench.animals_render import AnimalRenderer
from bozzetto.bench.datasets import iterate_heads, load_head
from bozzetto.bench.draws import head_generator
from bozzetto.bench.make_set import make_set
from bozzetto.bench.stage import GAMMA, light_direction, rotation_from_rpy
from bozzetto.errors import InputError


@pytest.fixture(scope="module")
def renderer() -> AnimalRenderer:
    return AnimalRenderer(40, supersample=1)


def test_every_kind_is_drawn_and_stays_inside_depth_range_and_picture(renderer: AnimalRenderer) -> None:
    seen = set()
    for index in range(60):
        sample = renderer.draw_sample(head_generator(0, "val", index))
        seen.add(sample.shape.kind)
        if index % 6 == 0:
            for view in (renderer.render(sample), renderer.canonical(sample)):
                assert np.nanmin(view.depth) > 0.91
                assert np.nanmax(view.depth) <= 1.1
                assert 0.2 < view.mask.mean() < 0.8
            assert not view.mask[0].any()  # ears end inside the frontal picture
            assert not view.mask[:25, [0, -1]].any()
    assert seen == set(KINDS) == set(SHARES)


def test_the_picture_is_albedo_times_shading_and_shading_is_lamberts(renderer: AnimalRenderer) -> None:
    view = renderer.render(renderer.draw_sample(head_generator(0, "test", 0)))
    again = np.clip(view.albedo * view.shading[..., None], 0, 1) ** (1 / GAMMA)
    np.testing.assert_allclose(again[view.mask], view.image[view.mask], atol=1e-5)
    lambert = np.maximum(0, view.normal @ light_direction(view.light))
    np.testing.assert_allclose((view.light[0] + view.light[1] * lambert)[view.mask], view.shading[view.mask], atol=1e-5)


def test_normals_are_unit_toward_the_camera_and_those_of_the_depth() -> None:
    """Central differences of a fine depth map approach the solid's own normals away from edges."""
    renderer = AnimalRenderer(192, supersample=1)
    view = renderer.canonical(renderer.draw_sample(head_generator(0, "test", 2)))
    camera = renderer.camera
    np.testing.assert_allclose(np.linalg.norm(view.normal[view.mask], axis=1), 1, atol=1e-6)
    lateral = (np.arange(192) - camera.centre_px) / camera.focal_px
    points = np.stack([lateral[None, :] * view.depth, lateral[:, None] * view.depth, view.depth], -1)
    across, down = points[1:-1, 2:] - points[1:-1, :-2], points[2:, 1:-1] - points[:-2, 1:-1]
    normal = np.cross(down, across)
    normal /= np.linalg.norm(normal, axis=-1, keepdims=True)
    angle = np.degrees(np.arccos(np.clip((normal * view.normal[1:-1, 1:-1]).sum(-1), -1, 1)))
    assert np.nanmedian(angle) < 0.5
    assert (view.normal[view.mask][:, 2] < 1e-6).all()


def test_the_stored_view_moves_frontal_points_to_where_the_photo_shows_them(renderer: AnimalRenderer) -> None:
    sample = renderer.draw_sample(head_generator(0, "test", 5))
    view, canonical, camera = renderer.render(sample), renderer.canonical(sample), renderer.camera
    assert np.abs(canonical.view).max() < 1e-9
    row, column = np.nonzero(canonical.mask & (canonical.normal[..., 2] < -0.8))
    ray = np.stack([column - camera.centre_px, row - camera.centre_px, np.full(len(row), camera.focal_px)], 1)
    points = ray / camera.focal_px * canonical.depth[row, column, None]
    centre = np.array([0, 0, 1])
    moved = (points - centre) @ rotation_from_rpy(view.view[:3]).T + centre + view.view[3:]
    pixel = np.round(moved[:, :2] / moved[:, 2:] * camera.focal_px + camera.centre_px).astype(int)
    inside = ((pixel >= 0) & (pixel < camera.size)).all(1)
    seen = view.depth[pixel[inside, 1], pixel[inside, 0]]
    assert inside.sum() > 150
    assert np.nanmedian(np.abs(seen - moved[inside, 2])) < 1e-3


def test_turning_to_the_own_pose_changes_nothing(renderer: AnimalRenderer) -> None:
    drawn = renderer.draw_sample(head_generator(0, "test", 1))
    sample = replace(drawn, pose_rad=drawn.pose_rad * (0, 1, 0), shift=np.zeros(3))
    turned, own = renderer.turned(sample, sample.pose_rad[1]), renderer.render(sample)
    np.testing.assert_allclose(turned.image, own.image, atol=1e-6)


def test_the_form_is_its_own_mirror_image(renderer: AnimalRenderer) -> None:
    view = renderer.canonical(renderer.draw_sample(head_generator(0, "test", 4)))
    assert (view.mask != view.mask[:, ::-1]).mean() < 0.002  # rays that graze
    both = view.mask & view.mask[:, ::-1]
    differing = np.abs(view.depth - view.depth[:, ::-1])[both] > 3e-4  # joins depend on their order a little
    assert differing.mean() < 0.005


def test_sets_resume_and_processes_agree(tmp_path: Path) -> None:
    config = AnimalsConfig(tmp_path / "whole", size=16, test=2, supersample=1, turned_yaws_deg=(-20.0, 20.0), relit=1)
    assert make_set(config) == 2
    assert make_set(replace(config, out=tmp_path / "parts", test=1)) == 1
    assert make_set(replace(config, out=tmp_path / "parts", workers=2, train=1)) == 2
    whole, parts = tmp_path / "whole" / "test", tmp_path / "parts" / "test"
    for x, y in zip(iterate_heads(whole), iterate_heads(parts), strict=True):
        for f in fields(x):
            assert torch.equal(getattr(x, f.name).nan_to_num(), getattr(y, f.name).nan_to_num()), f.name
    head = load_head(whole, 0)
    assert head.turned_yaw_deg.tolist() == [[-20, 20]]
    assert not torch.equal(head.image, load_head(tmp_path / "parts" / "train", 0).image)
    with pytest.raises(InputError, match="other settings"):
        make_set(replace(config, size=24))


def test_animals_do_not_go_into_a_folder_of_people(toy_model: Path, tmp_path: Path) -> None:
    from bozzetto.bench.heads import HeadsConfig

    make_set(HeadsConfig(tmp_path, model=toy_model, size=16, test=1))
    with pytest.raises(InputError, match=r"other settings \(family, format\)"):
        make_set(AnimalsConfig(tmp_path, size=16, test=1))


def test_noise_is_smooth_in_bounds_and_its_own_for_every_seed() -> None:
    rng = np.random.default_rng(0)
    points = rng.uniform(-4, 4, (4000, 3))
    a, b = noise(points, 1), noise(points, 2)
    assert np.abs(a).max() <= 1.6
    assert abs(a.mean()) < 0.1
    assert abs(np.corrcoef(a, b)[0, 1]) < 0.06
    assert np.abs(noise(points + 1e-4, 1) - a).max() < 2e-3
