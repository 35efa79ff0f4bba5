from __future__ import annotations

import math

import pytest
import torch

from bozzetto.geometry.pose import rotation_matrix
from bozzetto.metrics.pose import (
    aligned_rotation_error_deg,
    best_common_rotation,
    direction_error_deg,
    rotation_error_deg,
)


def rotations(b: int, seed: int = 0) -> torch.Tensor:
    angles = 2 * torch.rand(b, 3, generator=torch.Generator().manual_seed(seed)).double() - 1
    return rotation_matrix(angles)


@pytest.mark.parametrize("degrees", [1e-4, 1.0, 30.0, 90.0, 179.9])
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_turn_by_t_about_any_axis_scores_t(degrees: float, axis: int) -> None:
    angles = torch.zeros(1, 3, dtype=torch.float64)
    angles[0, axis] = math.radians(degrees)
    turned = rotations(4) @ rotation_matrix(angles)
    found = rotation_error_deg(turned, rotations(4))
    torch.testing.assert_close(found, torch.full((4,), degrees, dtype=torch.float64), rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("degrees", [1e-4, 1.0, 45.0, 90.0, 179.99])
def test_directions_apart_by_t_score_t_whatever_their_length(degrees: float) -> None:
    t = math.radians(degrees)
    a = torch.tensor([[0.0, 0.0, -1.0]], dtype=torch.float64)
    b = 5 * torch.tensor([[math.sin(t), 0.0, -math.cos(t)]], dtype=torch.float64)
    torch.testing.assert_close(direction_error_deg(a, b), torch.tensor([degrees], dtype=torch.float64))
    assert direction_error_deg(a, a).item() == 0


def test_another_canonical_frame_for_all_is_no_error_after_alignment() -> None:
    truth, gauge = rotations(6), rotations(1, seed=7)
    predicted = truth @ gauge
    assert rotation_error_deg(predicted, truth).min() > 5
    torch.testing.assert_close(best_common_rotation(predicted, truth), gauge[0])
    assert aligned_rotation_error_deg(predicted, truth).max() < 1e-5


def test_errors_that_vary_survive_alignment() -> None:
    """Yaws of plus and minus t about the truth: the best common turn is none, and t stays."""
    t = math.radians(8)
    angles = torch.zeros(2, 3, dtype=torch.float64)
    angles[:, 1] = torch.tensor([t, -t])
    truth = torch.eye(3, dtype=torch.float64).expand(2, 3, 3)
    found = aligned_rotation_error_deg(rotation_matrix(angles), truth)
    torch.testing.assert_close(found, torch.full((2,), 8.0, dtype=torch.float64))


def test_always_frontal_scores_the_turn_itself_and_alignment_takes_the_mean_turn() -> None:
    angles = torch.zeros(3, 3, dtype=torch.float64)
    angles[:, 1] = torch.tensor([math.radians(d) for d in (10.0, 20.0, 30.0)])
    frontal, truth = torch.eye(3, dtype=torch.float64).expand(3, 3, 3), rotation_matrix(angles)
    expected = torch.tensor([10.0, 20.0, 30.0], dtype=torch.float64)
    torch.testing.assert_close(rotation_error_deg(frontal, truth), expected)
    torch.testing.assert_close(
        aligned_rotation_error_deg(frontal, truth),
        torch.tensor([10.0, 0.0, 10.0], dtype=torch.float64),
        atol=2e-6,
        rtol=0,
    )


def test_the_common_rotation_is_a_rotation_even_where_a_reflection_would_be_nearer() -> None:
    truth = torch.eye(3, dtype=torch.float64)[None]
    mirrored = torch.diag(torch.tensor([1.0, 1.0, -1.0], dtype=torch.float64))[None]
    found = best_common_rotation(mirrored, truth)
    torch.testing.assert_close(torch.linalg.det(found), torch.tensor(1.0, dtype=torch.float64))


def test_a_single_view_cannot_be_aligned() -> None:
    assert aligned_rotation_error_deg(rotations(1), rotations(1, 2)).isnan().all()
