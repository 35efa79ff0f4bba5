from __future__ import annotations

import math

import pytest
import torch

from bozzetto.bench.scenes import example_scenes, plane
from bozzetto.metrics.edges import EDGE_SLOPE, depth_edges, edge_scores
from bozzetto.types import Camera


def two_levels(size: int, at: int, jump: float = 0.05) -> torch.Tensor:
    """Depth that steps back between the columns `at` - 1 and `at`."""
    depth = torch.full((1, 1, size, size), 0.95)
    depth[..., at:] += jump
    return depth


@pytest.mark.parametrize("size", [32, 64])
def test_the_two_level_scene_has_one_edge_two_pixels_wide_at_any_scale(size: int) -> None:
    scene = example_scenes(Camera(size))["step"]
    for scale in (1.0, 30.0):
        edges = depth_edges(scale * scene.depth, scene.mask.float(), Camera(size))
        columns = edges[:, 0].sum(1)
        expected = torch.zeros(2, size)
        expected[:, size // 2 - 1 : size // 2 + 1] = size
        assert torch.equal(columns, expected)


@pytest.mark.parametrize("size", [32, 128])
def test_a_tilted_plane_is_an_edge_where_its_slope_says_so(size: int) -> None:
    """A plane tilted by t about the vertical axis rises by about tan t a pixel's width."""
    camera = Camera(size)
    for factor, expected in ((0.8, 0.0), (1.25, 1.0)):
        tilt = math.atan(EDGE_SLOPE * factor)
        scene = plane(camera, torch.tensor([1.0]), torch.tensor([[math.sin(tilt), 0.0, -math.cos(tilt)]]))
        middle = slice(size // 2 - size // 8, size // 2 + size // 8)
        edges = depth_edges(scene.depth, scene.mask.float(), camera)[..., middle, middle]
        assert (edges == expected).all()


def test_smooth_scenes_and_outlines_have_no_edges() -> None:
    camera = Camera(64)
    scenes = example_scenes(camera)
    for name in ("plane", "bumps"):
        assert depth_edges(scenes[name].depth, scenes[name].mask.float(), camera).sum() == 0, name
    outline = torch.ones_like(scenes["plane"].depth)
    mask = torch.zeros_like(outline)
    mask[..., 20:40, 20:40] = 1
    holes = torch.where(mask > 0, outline, torch.nan)
    assert depth_edges(holes, mask, camera).sum() == 0


@pytest.mark.parametrize(("shift", "complete"), [(0, 1.0), (1, 1.0), (2, 0.5), (3, 0.0)])
def test_an_edge_that_is_off_by_n_pixels_counts_up_to_the_tolerance(shift: int, complete: float) -> None:
    """Both edges are two columns wide: at two pixels off, the nearer column is still within one pixel."""
    truth, moved, mask = two_levels(32, 16), two_levels(32, 16 + shift), torch.ones(1, 1, 32, 32)
    scores = edge_scores(moved, truth, mask, Camera(32))
    assert scores.completeness.item() == pytest.approx(complete)
    assert scores.correctness.item() == pytest.approx(complete)


def test_half_of_the_edges_found_is_half_complete_and_wholly_correct_and_the_other_way_round() -> None:
    truth, half, mask = two_levels(32, 8), two_levels(32, 8), torch.ones(1, 1, 32, 32)
    truth[..., 24:] += 0.05
    scores = edge_scores(half, truth, mask, Camera(32))
    assert (scores.completeness.item(), scores.correctness.item()) == (0.5, 1.0)
    scores = edge_scores(truth, half, mask, Camera(32))
    assert (scores.completeness.item(), scores.correctness.item()) == (1.0, 0.5)


def test_where_there_are_no_edges_there_is_no_score() -> None:
    flat, mask, camera = torch.ones(1, 1, 16, 16), torch.ones(1, 1, 16, 16), Camera(16)
    assert edge_scores(flat, two_levels(16, 8), mask, camera).completeness.item() == 0
    assert edge_scores(flat, two_levels(16, 8), mask, camera).correctness.isnan().all()
    assert edge_scores(two_levels(16, 8), flat, mask, camera).completeness.isnan().all()


def test_items_are_independent() -> None:
    depth = torch.cat([two_levels(24, 7), two_levels(24, 13), two_levels(24, 20)])
    truth = torch.cat([two_levels(24, 7), two_levels(24, 11), two_levels(24, 15)])
    mask = torch.ones(3, 1, 24, 24)
    together = edge_scores(depth, truth, mask, Camera(24))
    assert together.completeness.tolist() == [1.0, 0.5, 0.0]
