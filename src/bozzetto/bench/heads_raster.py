"""A z-buffer for triangle meshes in numba: which triangle each sample sees, and where in it.

Independent of the method's own rasteriser on purpose: the truth must not share the faults of what it judges.
"""

from __future__ import annotations

import numpy as np
from numba import njit

BACKGROUND = -1


@njit(cache=True, fastmath=False)
def rasterise(
    points: np.ndarray, triangles: np.ndarray, focal_px: float, centre_px: float, size: int, supersample: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Nearest triangle of each sample of a (size * supersample)^2 grid, two-sided.

    Sample (i, j) lies at pixel coordinate ((j + 0.5) / k - 0.5, (i + 0.5) / k - 0.5), k = supersample, so that with an
    odd k the middle sample of a pixel is the pixel's centre, an integer.

    Args:
        points: [V, 3] float64, camera frame (x right, y down, z forward), z > 0.
        triangles: [T, 3] int32.

    Returns:
        triangle [n, n] int32, BACKGROUND where nothing is seen; weights [n, n, 3] float32, perspective-correct
        barycentric coordinates; depth [n, n] float64, infinity on the background.
    """
    n = size * supersample
    depth = np.full((n, n), np.inf)
    triangle = np.full((n, n), BACKGROUND, dtype=np.int32)
    weights = np.zeros((n, n, 3), dtype=np.float32)
    count = points.shape[0]
    column, row = np.empty(count), np.empty(count)
    for v in range(count):
        scale = focal_px / points[v, 2]
        column[v] = (points[v, 0] * scale + centre_px + 0.5) * supersample - 0.5
        row[v] = (points[v, 1] * scale + centre_px + 0.5) * supersample - 0.5
    for t in range(triangles.shape[0]):
        a, b, c = triangles[t, 0], triangles[t, 1], triangles[t, 2]
        ax, ay, bx, by, cx, cy = column[a], row[a], column[b], row[b], column[c], row[c]
        area = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)
        if area == 0.0:
            continue
        left = max(0, int(np.ceil(min(ax, bx, cx))))
        right = min(n - 1, int(np.floor(max(ax, bx, cx))))
        top = max(0, int(np.ceil(min(ay, by, cy))))
        bottom = min(n - 1, int(np.floor(max(ay, by, cy))))
        for i in range(top, bottom + 1):
            for j in range(left, right + 1):
                wa = ((bx - j) * (cy - i) - (by - i) * (cx - j)) / area
                wb = ((cx - j) * (ay - i) - (cy - i) * (ax - j)) / area
                wc = 1.0 - wa - wb
                if wa < 0.0 or wb < 0.0 or wc < 0.0:
                    continue
                pa, pb, pc = wa / points[a, 2], wb / points[b, 2], wc / points[c, 2]
                z = 1.0 / (pa + pb + pc)
                if z < depth[i, j]:
                    depth[i, j] = z
                    triangle[i, j] = t
                    weights[i, j, 0] = pa * z
                    weights[i, j, 1] = pb * z
                    weights[i, j, 2] = pc * z
    return triangle, weights, depth


@njit(cache=True)
def interpolate(attributes: np.ndarray, triangles: np.ndarray, triangle: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Vertex attributes [V, K] carried to the samples, [n, n, K] float32; 0 on the background."""
    n = triangle.shape[0]
    k = attributes.shape[1]
    out = np.zeros((n, n, k), dtype=np.float32)
    for i in range(n):
        for j in range(n):
            t = triangle[i, j]
            if t < 0:
                continue
            for corner in range(3):
                w = weights[i, j, corner]
                v = triangles[t, corner]
                for c in range(k):
                    out[i, j, c] += w * attributes[v, c]
    return out


@njit(cache=True)
def vertex_normals(points: np.ndarray, triangles: np.ndarray, weld: np.ndarray) -> np.ndarray:
    """Unit vertex normals [V, 3]: area-weighted sums of the face normals (b - a) x (c - a), shared across seams."""
    total = np.zeros_like(points)
    for t in range(triangles.shape[0]):
        a, b, c = triangles[t, 0], triangles[t, 1], triangles[t, 2]
        ux, uy, uz = points[b, 0] - points[a, 0], points[b, 1] - points[a, 1], points[b, 2] - points[a, 2]
        vx, vy, vz = points[c, 0] - points[a, 0], points[c, 1] - points[a, 1], points[c, 2] - points[a, 2]
        nx, ny, nz = uy * vz - uz * vy, uz * vx - ux * vz, ux * vy - uy * vx
        for corner in range(3):
            w = weld[triangles[t, corner]]
            total[w, 0] += nx
            total[w, 1] += ny
            total[w, 2] += nz
    out = np.zeros_like(points)
    for v in range(points.shape[0]):
        w = weld[v]
        length = np.sqrt(total[w, 0] ** 2 + total[w, 1] ** 2 + total[w, 2] ** 2)
        if length > 0.0:
            for c in range(3):
                out[v, c] = total[w, c] / length
    return out
