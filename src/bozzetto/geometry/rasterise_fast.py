"""The CPU rasteriser compiled by numba: signature and results of `rasterise.rasterise_depth`, forward and backward.

One pass over the triangles with a z-buffer, and one pass over the pixels for the gradient of
z = (m . p0) / (m . r), with m = (p1 - p0) x (p2 - p0):  dz/dm = (p0 - z r) / (m . r),  dz/dp0 = m / (m . r) + ...
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor

from bozzetto.geometry.rasterise import DEPTH_STEPS, EDGE_TOLERANCE, MIN_AREA_PX2, DepthMap
from bozzetto.types import Camera


# The reference's constants come in as arguments: numba's cache on disk notices changes of this file alone.
@numba.njit(cache=True, nogil=True)
def _forward(  # type: ignore[no-untyped-def]
    vertices, faces, size, focal, centre, background, tolerance, min_area, depth_steps, depth, winner
):
    far_key = np.iinfo(np.int64).max
    best = np.empty((size, size), dtype=np.int64)
    uvz = np.empty((vertices.shape[1], 3), dtype=np.float64)
    for b in range(vertices.shape[0]):
        best[:] = far_key
        for i in range(vertices.shape[1]):
            z = np.float64(vertices[b, i, 2])
            uvz[i, 0] = np.float64(vertices[b, i, 0]) / z * focal + centre
            uvz[i, 1] = np.float64(vertices[b, i, 1]) / z * focal + centre
            uvz[i, 2] = z
        for f in range(faces.shape[0]):
            i0, i1, i2 = faces[f, 0], faces[f, 1], faces[f, 2]
            z0, z1, z2 = uvz[i0, 2], uvz[i1, 2], uvz[i2, 2]
            # Every test is written so that a vertex that is not a number fails it, as in the reference.
            if not (z0 > 0.0 and z1 > 0.0 and z2 > 0.0):
                continue
            u0, v0 = uvz[i0, 0], uvz[i0, 1]
            u1, v1 = uvz[i1, 0], uvz[i1, 1]
            u2, v2 = uvz[i2, 0], uvz[i2, 1]
            area = (u1 - u0) * (v2 - v0) - (v1 - v0) * (u2 - u0)
            if not abs(area) > min_area:
                continue
            # One pixel wider than the box, as in the reference: the edge test decides.
            left = max(min(np.ceil(min(u0, u1, u2)) - 1.0, 1e9), 0.0)
            right = min(max(np.floor(max(u0, u1, u2)) + 1.0, -1e9), size - 1.0)
            top = max(min(np.ceil(min(v0, v1, v2)) - 1.0, 1e9), 0.0)
            bottom = min(max(np.floor(max(v0, v1, v2)) + 1.0, -1e9), size - 1.0)
            s0, s1, s2 = 1.0 / z0, 1.0 / z1, 1.0 / z2
            for y in range(int(top), int(bottom) + 1):
                v = float(y)
                for x in range(int(left), int(right) + 1):
                    u = float(x)
                    w0 = ((u1 - u) * (v2 - v) - (v1 - v) * (u2 - u)) / area
                    if not w0 >= -tolerance:
                        continue
                    w1 = ((u2 - u) * (v0 - v) - (v2 - v) * (u0 - u)) / area
                    if not w1 >= -tolerance:
                        continue
                    w2 = ((u0 - u) * (v1 - v) - (v0 - v) * (u1 - u)) / area
                    if not w2 >= -tolerance:
                        continue
                    z = 1.0 / (w0 * s0 + w1 * s1 + w2 * s2)
                    key = np.int64(np.rint(z * depth_steps)) * np.int64(4294967296) + np.int64(f)
                    if key < best[y, x]:
                        best[y, x] = key
        for y in range(size):
            for x in range(size):
                if best[y, x] == far_key:
                    winner[b, y, x] = -1
                    depth[b, y, x] = background
                    continue
                f = best[y, x] % np.int64(4294967296)
                winner[b, y, x] = f
                i0, i1, i2 = faces[f, 0], faces[f, 1], faces[f, 2]
                ax = np.float64(vertices[b, i1, 0]) - vertices[b, i0, 0]
                ay = np.float64(vertices[b, i1, 1]) - vertices[b, i0, 1]
                az = np.float64(vertices[b, i1, 2]) - vertices[b, i0, 2]
                bx = np.float64(vertices[b, i2, 0]) - vertices[b, i0, 0]
                by = np.float64(vertices[b, i2, 1]) - vertices[b, i0, 1]
                bz = np.float64(vertices[b, i2, 2]) - vertices[b, i0, 2]
                mx = ay * bz - az * by
                my = az * bx - ax * bz
                mz = ax * by - ay * bx
                above = mx * vertices[b, i0, 0] + my * vertices[b, i0, 1] + mz * vertices[b, i0, 2]
                below = mx * ((x - centre) / focal) + my * ((y - centre) / focal) + mz
                depth[b, y, x] = above / below


@numba.njit(cache=True, nogil=True)
def _backward(vertices, faces, winner, grad_depth, size, focal, centre, grad):  # type: ignore[no-untyped-def]
    for b in range(vertices.shape[0]):
        for y in range(size):
            for x in range(size):
                f = winner[b, y, x]
                g = np.float64(grad_depth[b, y, x])
                if f < 0 or g == 0.0:
                    continue
                i0, i1, i2 = faces[f, 0], faces[f, 1], faces[f, 2]
                px = np.float64(vertices[b, i0, 0])
                py = np.float64(vertices[b, i0, 1])
                pz = np.float64(vertices[b, i0, 2])
                ax, ay, az = vertices[b, i1, 0] - px, vertices[b, i1, 1] - py, vertices[b, i1, 2] - pz
                bx, by, bz = vertices[b, i2, 0] - px, vertices[b, i2, 1] - py, vertices[b, i2, 2] - pz
                mx = ay * bz - az * by
                my = az * bx - ax * bz
                mz = ax * by - ay * bx
                rx, ry = (x - centre) / focal, (y - centre) / focal
                below = mx * rx + my * ry + mz
                z = (mx * px + my * py + mz * pz) / below
                g /= below
                # h = dz/dm up to g; m = a x b, so da = b x h and db = h x a.
                hx, hy, hz = px - z * rx, py - z * ry, pz - z
                dax, day, daz = by * hz - bz * hy, bz * hx - bx * hz, bx * hy - by * hx
                dbx, dby, dbz = hy * az - hz * ay, hz * ax - hx * az, hx * ay - hy * ax
                grad[b, i1, 0] += g * dax
                grad[b, i1, 1] += g * day
                grad[b, i1, 2] += g * daz
                grad[b, i2, 0] += g * dbx
                grad[b, i2, 1] += g * dby
                grad[b, i2, 2] += g * dbz
                grad[b, i0, 0] += g * (mx - dax - dbx)
                grad[b, i0, 1] += g * (my - day - dby)
                grad[b, i0, 2] += g * (mz - daz - dbz)


class _RasteriseDepth(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, vertices: Tensor, faces: Tensor, camera: Camera, background: float) -> tuple[Tensor, Tensor]:
        points = vertices.detach().contiguous()
        depth = points.new_empty((len(points), camera.size, camera.size))
        winner = torch.empty(depth.shape, dtype=torch.int64)
        _forward(
            points.numpy(),
            faces.numpy(),
            camera.size,
            camera.focal_px,
            camera.centre_px,
            background,
            EDGE_TOLERANCE,
            MIN_AREA_PX2,
            DEPTH_STEPS,
            depth.numpy(),
            winner.numpy(),
        )
        ctx.save_for_backward(points, faces, winner)
        ctx.camera = camera
        ctx.mark_non_differentiable(winner)
        return depth[:, None], winner

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None, None]:
        points, faces, winner = ctx.saved_tensors
        camera: Camera = ctx.camera
        grad = torch.zeros(points.shape, dtype=torch.float64)
        _backward(
            points.numpy(),
            faces.numpy(),
            winner.numpy(),
            grads[0][:, 0].contiguous().numpy(),
            camera.size,
            camera.focal_px,
            camera.centre_px,
            grad.numpy(),
        )
        return grad.to(points.dtype), None, None, None


def rasterise_depth(
    vertices: Float[Tensor, "b v 3"], faces: Int64[Tensor, "f 3"], camera: Camera, background: float
) -> DepthMap:
    """As `rasterise.rasterise_depth`, on CPU tensors of float32 or float64, for first-order gradients."""
    depth, winner = _RasteriseDepth.apply(vertices, faces, camera, background)
    return DepthMap(depth, (winner >= 0)[:, None])
