"""Scores against a known truth: zero where all is right, and nothing gained by leaving pixels open."""

from __future__ import annotations

import torch

from bozzetto.metrics.truth import Truth, fill_open, score_truth
from bozzetto.types import Camera

SIZE = 32
CAMERA = Camera(SIZE)
TICKS = torch.linspace(-1, 1, SIZE)


def dome() -> torch.Tensor:
    radius = TICKS[:, None] ** 2 + TICKS[None] ** 2
    return (1.05 - 0.1 * (1 - radius).clamp(min=0))[None]


def truth() -> Truth:
    inside = (TICKS[:, None] ** 2 + TICKS[None] ** 2 < 0.8)[None]
    return Truth(torch.where(inside, dome(), torch.nan))


def test_the_truth_itself_scores_zero_at_any_scale() -> None:
    ones = torch.ones(1, SIZE, SIZE)
    for scale in (1.0, 1.7):
        scores = score_truth(scale * dome(), None, ones, truth(), CAMERA)
        assert scores["side_x100"] < 1e-4
        assert scores["coverage"] == 1
    exact = score_truth(dome(), None, ones, truth(), CAMERA)
    assert exact["mad_depth_deg"] < 0.05
    assert exact["mad_published_deg"] > 1  # the published formula does not know a perfect score
    assert exact["mad_published_mask_deg"] < 0.05
    assert exact["side_published_formula_x100"] < 1e-4
    assert "mad_mesh_deg" not in exact


def test_normals_turned_by_an_angle_score_the_angle() -> None:
    facing = torch.tensor([0.0, 0.0, -1.0])[:, None, None].expand(3, SIZE, SIZE)
    turned = torch.tensor([0.5, 0.0, -(0.75**0.5)])[:, None, None].expand(3, SIZE, SIZE)
    known = Truth(truth().depth, facing)
    scores = score_truth(dome(), turned, torch.ones(1, SIZE, SIZE), known, CAMERA)
    assert abs(scores["mad_mesh_deg"] - 30) < 1e-3


def test_leaving_the_wrong_half_open_is_no_gain() -> None:
    wrong = dome().clone()
    wrong[..., SIZE // 2 :] += 0.03 * torch.rand(1, SIZE, SIZE // 2, generator=torch.Generator().manual_seed(0))
    half = torch.ones(1, SIZE, SIZE)
    half[..., SIZE // 2 :] = 0
    shrunk = score_truth(wrong, None, half, truth(), CAMERA)
    assert 0.4 < shrunk["coverage"] < 0.6
    assert shrunk["side_x100"] > 1
    assert shrunk["side_published_x100"] < 1e-4  # the published mask forgives it


def test_open_pixels_take_their_nearest_neighbours_value() -> None:
    values = torch.arange(5.0).expand(1, 5, 5).clone()
    covered = torch.zeros(1, 5, 5)
    covered[..., 1:3] = 1
    assert torch.equal(fill_open(values, covered)[0, 2], torch.tensor([1.0, 1.0, 2.0, 2.0, 2.0]))
    assert torch.equal(fill_open(values, torch.ones(1, 5, 5)), values)
