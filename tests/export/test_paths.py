from __future__ import annotations

import math

import torch

from bozzetto.export.paths import contrast_light, relight_path, relight_row, turn_path, turn_row

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
