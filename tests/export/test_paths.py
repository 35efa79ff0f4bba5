from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch

from bozzetto.export.paths import (
    circle_path,
    contrast_light,
    gan_lights,
    gan_views,
    nod_path,
    relight_path,
    relight_row,
    there_and_back,
    turn_path,
    turn_row,
)

LIGHT = torch.tensor([0.5, 0.4, 0.2, 0.1])


def test_a_turn_is_a_closed_swing_within_its_limit() -> None:
    path = turn_path(72, max_yaw_deg=25.0)
    assert path.shape == (72, 6)
    assert torch.equal(path[0], torch.zeros(6))
    assert abs(path[:, 1].abs().max() - math.radians(25)) < 1e-6
    assert path[:, [0, 2, 3, 4, 5]].abs().max() == 0
    # the step that closes the loop is no longer than any other
    steps = torch.cat((path[:, 1], path[:1, 1])).diff().abs()
    assert steps[-1] <= steps.max() + 1e-6
    assert torch.allclose(path[1:, 1], -path[1:, 1].flip(0), atol=1e-6)


def test_pitch_makes_the_swing_an_ellipse() -> None:
    path = turn_path(8, max_yaw_deg=20.0, max_pitch_deg=10.0)
    on = (path[:, 1] / math.radians(20)) ** 2 + (path[:, 0] / math.radians(10)) ** 2
    assert torch.allclose(on, torch.ones(8), atol=1e-6)


def test_a_row_of_turns_is_even_and_symmetric() -> None:
    row = turn_row(5, 30.0)
    assert torch.allclose(torch.rad2deg(row[:, 1]), torch.tensor([-30.0, -15, 0, 15, 30]), atol=1e-5)


def test_the_light_goes_round_at_one_angle_to_the_line_of_sight() -> None:
    path = relight_path(40, LIGHT, reach=0.7)
    assert torch.allclose(path[:, 2:].norm(dim=1), torch.full((40,), 0.7), atol=1e-6)
    assert torch.allclose(path[0, 2:], torch.tensor([0.0, 0.7]), atol=1e-6)  # begins above
    assert path[10, 2] > 0.69  # then from the left
    assert torch.equal(path[:, :2], path[:1, :2].expand(40, 2))


def test_a_row_of_lights_goes_from_the_left_over_above_to_the_right() -> None:
    row = relight_row(LIGHT, 5, reach=1.0)
    assert torch.allclose(row[[0, 2, 4], 2:], torch.tensor([[1.0, 0], [0, 1], [-1, 0]]), atol=1e-6)
    assert (row[1, 2:] > 0).all()


def test_contrast_moves_strength_from_ambient_to_diffuse() -> None:
    ambient, diffuse = contrast_light(LIGHT)
    assert 0 < ambient < LIGHT[0]
    assert LIGHT[1] < diffuse <= 1
    assert contrast_light(torch.tensor([0.0, 1.0, 0.0, 0.0]))[1] == 1.0


def test_paths_of_no_length() -> None:
    assert turn_path(0).shape == (0, 6)
    assert relight_path(0, LIGHT).shape == (0, 4)


def test_a_nod_is_the_pitch_alone() -> None:
    path = nod_path(40, max_pitch_deg=12.0)
    assert path[:, 1:].abs().max() == 0
    expected = math.radians(12) * torch.sin(torch.arange(40) * (2 * math.pi / 40))
    assert torch.allclose(path[:, 0], expected, atol=1e-6)


def test_a_circle_keeps_its_distance_from_the_front() -> None:
    assert torch.allclose(circle_path(30, 14.0)[:, :2].norm(dim=1), torch.full((30,), math.radians(14)), atol=1e-6)
    assert circle_path(30)[:, 2:].abs().max() == 0


@pytest.mark.parametrize(
    "path",
    [turn_path, nod_path, circle_path, lambda n: relight_path(n, LIGHT), lambda n: there_and_back(n, 9)[:, None]],
    ids=["turn", "nod", "circle", "relight", "kept pictures"],
)
def test_a_path_is_a_loop_whose_frame_after_the_last_is_the_first(path: Callable[[int], torch.Tensor]) -> None:
    """Frame i of n is frame k i of k n, so more frames only fill in; and the path is one period of a smooth curve: the
    step over its end is as long as the curve's other steps there."""
    once = path(24)
    assert torch.allclose(path(72)[::3], once, atol=1e-5)
    steps = torch.cat((once, once[:1])).diff(dim=0).norm(dim=1)
    assert torch.allclose(steps[-1], steps[0], atol=1e-6)  # sine and cosine are even or odd about frame 0
    assert steps[-1] <= steps.max() + 1e-6


def test_kept_pictures_go_from_the_middle_to_either_end() -> None:
    place = there_and_back(8, 5)
    assert torch.allclose(place[[0, 2, 4, 6]], torch.tensor([2.0, 4, 2, 0]), atol=1e-6)
    assert torch.equal(there_and_back(4, 1), torch.zeros(4))


def test_views_and_lights_through_the_gan_are_those_of_the_sheet() -> None:
    assert torch.allclose(gan_views()[::6], turn_row(5), atol=1e-6)
    assert torch.allclose(gan_lights(LIGHT)[::4], relight_row(LIGHT, 5, reach=0.8), atol=1e-6)
