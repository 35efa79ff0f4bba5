from __future__ import annotations

from collections import Counter

import numpy as np

from bozzetto.export.outline import clip_at, largest_part, part_labels, without_unused
from bozzetto.geometry.heightfield import grid_faces


def _grid(size: int) -> tuple[np.ndarray, np.ndarray]:
    y, x = np.meshgrid(np.arange(size, dtype=float), np.arange(size, dtype=float), indexing="ij")
    return np.stack((x.ravel(), y.ravel()), axis=1), grid_faces(size).numpy()


def _areas(corners: np.ndarray, faces: np.ndarray) -> np.ndarray:
    a, b, c = (corners[faces[:, i]] for i in range(3))
    return 0.5 * ((b - a)[:, 0] * (c - a)[:, 1] - (b - a)[:, 1] * (c - a)[:, 0])


def test_a_straight_cut_keeps_exactly_its_side() -> None:
    corners, faces = _grid(9)
    level = corners @ np.array([0.6, 0.37]) - 0.11  # linear, so the cut is exact
    cut, kept = clip_at(corners, faces, level, 2.0)
    values = cut @ np.array([0.6, 0.37]) - 0.11
    assert (values[np.unique(kept)] >= 2.0 - 1e-12).all()
    # the two sides together are the square
    other, rest = clip_at(corners, faces, -level, -2.0)
    total = np.abs(_areas(cut, kept)).sum() + np.abs(_areas(other, rest)).sum()
    assert abs(total - 64) < 1e-9


def test_winding_is_kept_and_no_crack_opens() -> None:
    corners, faces = _grid(12)
    level = 4.2 - np.hypot(corners[:, 0] - 5.3, corners[:, 1] - 5.6)
    sign = np.sign(_areas(corners, faces)[0])
    cut, kept = clip_at(corners, faces, level, 0.0)
    assert (sign * _areas(cut, kept) > 0).all()
    edges = Counter(tuple(sorted(edge)) for face in kept for edge in zip(face, np.roll(face, 1), strict=True))
    border = [edge for edge, count in edges.items() if count == 1]
    assert set(edges.values()) == {1, 2}
    # a disc: one closed border, V - E + F = 1
    assert Counter(Counter(v for edge in border for v in edge).values()) == {2: len(border)}
    assert len(np.unique(kept)) - len(edges) + len(kept) == 1


def test_all_inside_is_the_identity_and_all_outside_is_nothing() -> None:
    corners, faces = _grid(4)
    same, kept = clip_at(corners, faces, np.ones(16), 0.5)
    assert np.array_equal(same, corners)
    assert np.array_equal(kept, faces)
    assert len(clip_at(corners, faces, np.zeros(16), 0.5)[1]) == 0


def test_labels_name_each_part_by_its_lowest_vertex() -> None:
    faces = np.array([[7, 5, 6], [6, 2, 8], [0, 1, 4]])
    assert part_labels(faces, 9).tolist() == [0, 0, 2, 3, 0, 2, 2, 2, 2]


def test_largest_part_of_a_long_snake_and_a_speck() -> None:
    snake = np.stack((np.arange(300), np.arange(1, 301), np.arange(2, 302)), axis=1)[::-1]
    speck = np.array([[400, 401, 402], [401, 402, 403]])
    assert np.array_equal(largest_part(np.concatenate((speck, snake)), 404), snake)
    assert len(largest_part(np.zeros((0, 3), dtype=np.int64), 4)) == 0


def test_unused_vertices_go_and_the_triangles_stay() -> None:
    corners, faces = np.random.default_rng(0).random((9, 3)), np.array([[8, 2, 5], [5, 2, 3]])
    fewer, renumbered = without_unused(corners, faces)
    assert len(fewer) == 4
    assert np.array_equal(fewer[renumbered], corners[faces])
