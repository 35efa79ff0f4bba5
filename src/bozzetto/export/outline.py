"""Cutting a triangle mesh along a level line, and keeping its largest part. Plain arrays in and out."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int64

# A cut no nearer to the kept corner than this part of the edge: triangles of no area have no winding.
_MIN_PART = 0.02


def clip_at(
    corners: Float[np.ndarray, "v c"],
    faces: Int64[np.ndarray, "f 3"],
    level: Float[np.ndarray, "v"],
    threshold: float,
) -> tuple[Float[np.ndarray, "w c"], Int64[np.ndarray, "g 3"]]:
    """Keep the part of a mesh where `level`, linear on each edge, is at least `threshold`.

    Every attribute of the new corners (columns of `corners`) is linear along the cut edge; winding is kept. An edge
    shared by two faces gets one new corner, so no crack opens.
    """
    inside = level >= threshold
    count = inside[faces].sum(axis=1)
    whole = faces[count == 3]

    def lone_first(mixed: Int64[np.ndarray, "m 3"], lone_inside: bool) -> Int64[np.ndarray, "m 3"]:
        """Turn each face, winding kept, so that the corner that differs from the two others comes first."""
        first = np.argmax(inside[mixed] == lone_inside, axis=1)
        return np.take_along_axis(mixed, (first[:, None] + np.arange(3)) % 3, axis=1)

    tips = lone_first(faces[count == 1], True)  # one corner kept: a smaller triangle
    stumps = lone_first(faces[count == 2], False)  # one corner lost: a quadrangle
    # Edges as (kept, lost): two of each tip, two of each stump.
    edges = np.concatenate((tips[:, [0, 1]], tips[:, [0, 2]], stumps[:, [1, 0]], stumps[:, [2, 0]]))
    unique, which = np.unique(edges, axis=0, return_inverse=True)
    kept, lost = unique[:, 0], unique[:, 1]
    part = np.clip((level[kept] - threshold) / np.maximum(level[kept] - level[lost], 1e-12), _MIN_PART, 1.0)
    fresh = corners[kept] + part[:, None] * (corners[lost] - corners[kept])

    new = len(corners) + which.reshape(-1)
    tip_1, tip_2, stump_1, stump_2 = np.split(new, np.cumsum([len(tips), len(tips), len(stumps)]))
    pieces = (
        whole,
        np.stack((tips[:, 0], tip_1, tip_2), axis=1),
        np.stack((stump_1, stumps[:, 1], stumps[:, 2]), axis=1),
        np.stack((stump_1, stumps[:, 2], stump_2), axis=1),
    )
    return np.concatenate((corners, fresh)), np.concatenate(pieces).astype(np.int64)


def part_labels(faces: Int64[np.ndarray, "f 3"], vertex_count: int) -> Int64[np.ndarray, "v"]:
    """For each vertex the lowest vertex index of its connected part (label propagation with pointer jumping)."""
    label = np.arange(vertex_count)
    while True:
        lowest = label[faces].min(axis=1)
        spread = label.copy()
        np.minimum.at(spread, label[faces].reshape(-1), np.repeat(lowest, 3))
        spread = spread[spread]
        if np.array_equal(spread, label):
            return label
        label = spread


def largest_part(faces: Int64[np.ndarray, "f 3"], vertex_count: int) -> Int64[np.ndarray, "g 3"]:
    """The faces of the connected part that has most of them."""
    if len(faces) == 0:
        return faces
    owner = part_labels(faces, vertex_count)[faces[:, 0]]
    return faces[owner == np.bincount(owner).argmax()]


def without_unused(
    corners: Float[np.ndarray, "v c"], faces: Int64[np.ndarray, "f 3"]
) -> tuple[Float[np.ndarray, "w c"], Int64[np.ndarray, "f 3"]]:
    """Drop the vertices no face uses; order kept."""
    used, renumbered = np.unique(faces, return_inverse=True)
    return corners[used], renumbered.reshape(faces.shape).astype(np.int64)
