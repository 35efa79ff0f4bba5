from __future__ import annotations

import math

import torch

from bozzetto.geometry.pose import PIVOT_DEPTH, mirror_view, move, move_back, rotation_matrix

MIRROR = torch.tensor([-1.0, 1.0, 1.0], dtype=torch.float64)


def random_views(count: int, seed: int = 0) -> torch.Tensor:
    views = torch.randn((count, 6), generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return views * torch.tensor([1.5, 1.5, 1.5, 0.2, 0.2, 0.2], dtype=torch.float64)


def random_points(count: int, number: int = 7) -> torch.Tensor:
    return torch.randn((count, number, 3), generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def turn(axis: int, angle: float) -> torch.Tensor:
    """Rotation about one axis, right-handed: the exponential of the cross-product matrix."""
    x, y, z = (float(i == axis) for i in range(3))
    cross = torch.tensor([[0, -z, y], [z, 0, -x], [-y, x, 0]], dtype=torch.float64)
    return torch.linalg.matrix_exp(angle * cross)


def moved(point: tuple[float, float, float], view: tuple[float, ...]) -> list[float]:
    """A point given relative to the pivot, after the view, again relative to it."""
    pivot = torch.tensor([0, 0, PIVOT_DEPTH], dtype=torch.float64)
    start = torch.tensor([[point]], dtype=torch.float64) + pivot
    return (move(start, torch.tensor([view], dtype=torch.float64)) - pivot)[0, 0].tolist()


def test_rotations_are_rotations() -> None:
    rotation = rotation_matrix(random_views(50)[:, :3])
    unit = torch.eye(3, dtype=torch.float64)
    assert (rotation @ rotation.transpose(1, 2) - unit).abs().max() < 1e-14
    assert (torch.linalg.det(rotation) - 1).abs().max() < 1e-14
    assert torch.equal(rotation_matrix(torch.zeros(1, 3)), torch.eye(3)[None])


def test_the_order_is_x_then_y_then_z() -> None:
    angles = random_views(20)[:, :3]
    scratch = torch.stack([turn(2, c) @ turn(1, b) @ turn(0, a) for a, b, c in angles.tolist()])
    assert (rotation_matrix(angles) - scratch).abs().max() < 1e-9


def test_positive_pitch_brings_the_top_toward_the_camera() -> None:
    top = moved((0, -0.1, 0), (0.3, 0, 0, 0, 0, 0))  # y is down
    assert top[2] < 0


def test_positive_yaw_moves_the_near_side_to_the_left() -> None:
    near = moved((0, 0, -0.1), (0, 0.3, 0, 0, 0, 0))  # z is forward
    assert near[0] < 0


def test_positive_roll_is_clockwise_in_the_picture() -> None:
    right = moved((0.1, 0, 0), (0, 0, 0.3, 0, 0, 0))
    assert right[1] > 0


def test_translation_comes_after_rotation_and_is_not_turned() -> None:
    point = moved((0.1, 0, 0), (0, 0, math.pi / 2, 0.5, 0.25, -0.125))
    assert torch.allclose(torch.tensor(point), torch.tensor([0.5, 0.35, -0.125]), atol=1e-12)


def test_the_pivot_stays_where_it_is_under_any_rotation() -> None:
    views = random_views(10)
    views[:, 3:] = 0
    assert max(max(map(abs, moved((0, 0, 0), tuple(view)))) for view in views.tolist()) < 1e-14


def test_moving_back_undoes_moving() -> None:
    views, points = random_views(6), random_points(6)
    assert (move_back(move(points, views), views) - points).abs().max() < 1e-13
    assert (move(move_back(points, views), views) - points).abs().max() < 1e-13


def test_distances_are_kept() -> None:
    views, points = random_views(6), random_points(6)
    assert (torch.cdist(move(points, views), move(points, views)) - torch.cdist(points, points)).abs().max() < 1e-7


def test_one_set_of_points_serves_many_views_each_by_itself() -> None:
    views, points = random_views(4), random_points(1)
    together = move(points, views)
    alone = torch.cat([move(points, view[None]) for view in views])
    assert torch.equal(together, alone)


def test_the_mirrored_view_moves_mirrored_points_to_mirrored_places() -> None:
    views, points = random_views(8), random_points(8)
    assert (move(points * MIRROR, mirror_view(views)) - move(points, views) * MIRROR).abs().max() < 1e-13
    assert torch.equal(mirror_view(mirror_view(views)), views)
