"""Whether a triangle mesh is the surface of a solid."""

from __future__ import annotations

from collections import Counter

import numpy as np


def one_place_one_vertex(vertices: np.ndarray, faces: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The mesh with vertices of equal position, bit for bit, made one."""
    places, number = np.unique(vertices, axis=0, return_inverse=True)
    return places, number.reshape(-1)[faces]


def assert_closed(vertices: np.ndarray, faces: np.ndarray) -> None:
    """Every edge belongs to exactly two faces, which pass it in opposite directions; no face is a line or a point."""
    _, faces = one_place_one_vertex(vertices, faces)
    assert all(len(set(face)) == 3 for face in faces.tolist())
    directed = Counter((int(f[i]), int(f[(i + 1) % 3])) for f in faces for i in range(3))
    assert set(directed.values()) == {1}
    assert all((b, a) in directed for a, b in directed)


def volume(vertices: np.ndarray, faces: np.ndarray) -> float:
    """By Gauss: a sixth of the sum of a . (b x c). Positive where the faces look outward."""
    a, b, c = (vertices[faces[:, i]].astype(np.float64) for i in range(3))
    return float((a * np.cross(b, c)).sum() / 6)
