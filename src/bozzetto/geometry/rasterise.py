"""Z-buffer rasterisation of a mesh's depth, differentiable in its vertices: the readable reference.

`winning_faces` decides, without gradient, which triangle each pixel sees; `plane_depth` then intersects the pixel's
ray with that triangle's plane, and autograd does the rest. Gradients are exact for what is seen; like every
z-buffer this one has none for a silhouette that moves. `rasterise_fast` has the same signature and must agree.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from bozzetto.geometry.camera import project, rays
from bozzetto.types import Camera

# A pixel centre this far outside an edge (relative to the triangle's area) still counts: at the identity view every
# pixel centre lies exactly on a vertex, and rounding must not open holes there (in float32 a vertex is off by some
# 1e-5 pixels).
EDGE_TOLERANCE = 1e-4
MIN_AREA_PX2 = 1e-9  # thinner triangles are edge-on and see no pixel
# Depths are compared in steps of 2^-24 scene units and then by face index, so that pixels on a shared edge have the
# same winner in every implementation.
DEPTH_STEPS = float(2**24)
NOTHING = torch.iinfo(torch.int64).max


class DepthMap(NamedTuple):
    depth: Float[Tensor, "b 1 s s"]  # scene units; `background` where no face covers the pixel
    covered: Bool[Tensor, "b 1 s s"]


def winning_faces(
    vertices: Float[Tensor, "b v 3"], faces: Int64[Tensor, "f 3"], camera: Camera
) -> Int64[Tensor, "b s s"]:
    """Index of the nearest face under each pixel centre, -1 where there is none. Computed in float64."""
    size = camera.size
    corners = vertices.detach().double()
    uv = project(corners, camera)[:, faces]  # [B, F, 3, 2] px
    inverse_z = 1 / corners[..., 2][:, faces]  # [B, F, 3]
    (u0, v0), (u1, v1), (u2, v2) = (uv[..., i, :].unbind(-1) for i in range(3))
    area = (u1 - u0) * (v2 - v0) - (v1 - v0) * (u2 - u0)
    first = uv.amin(2).ceil().clamp(min=0)
    last = uv.amax(2).floor().clamp(max=size - 1)
    # Ends that rounding moved just inside the box are let in again by one pixel; the edge test below decides.
    first, last = (first - 1).clamp(min=0), (last + 1).clamp(max=size - 1)
    extent = (last - first).long()  # [B, F, 2], negative: off the picture
    in_front = (corners[..., 2][:, faces] > 0).all(-1)
    alive = (area.abs() > MIN_AREA_PX2) & in_front & (extent >= 0).all(-1)

    best = torch.full((vertices.shape[0], size * size), NOTHING, dtype=torch.int64, device=vertices.device)
    row = 0
    while True:
        in_row = alive & (extent[..., 1] >= row)
        if not in_row.any():
            break
        column = 0
        while True:
            item, face = (in_row & (extent[..., 0] >= column)).nonzero(as_tuple=True)
            if not len(item):
                break
            u, v = first[item, face, 0] + column, first[item, face, 1] + row
            a0, a1, a2 = u0[item, face], u1[item, face], u2[item, face]
            b0, b1, b2 = v0[item, face], v1[item, face], v2[item, face]
            whole = area[item, face]
            w0 = ((a1 - u) * (b2 - v) - (b1 - v) * (a2 - u)) / whole
            w1 = ((a2 - u) * (b0 - v) - (b2 - v) * (a0 - u)) / whole
            w2 = ((a0 - u) * (b1 - v) - (b0 - v) * (a1 - u)) / whole
            inside = (w0 >= -EDGE_TOLERANCE) & (w1 >= -EDGE_TOLERANCE) & (w2 >= -EDGE_TOLERANCE)
            z0, z1, z2 = inverse_z[item, face].unbind(-1)
            depth = 1 / (w0 * z0 + w1 * z1 + w2 * z2)
            key = (depth * DEPTH_STEPS).round().long() * 2**32 + face  # nearest first, then lowest index
            pixel = item * size * size + (v * size + u).long()
            best.view(-1).scatter_reduce_(0, pixel[inside], key[inside], reduce="amin")
            column += 1
        row += 1
    winner = torch.where(best == NOTHING, -1, best % 2**32)
    return winner.reshape(-1, size, size)


def plane_depth(
    vertices: Float[Tensor, "b v 3"], faces: Int64[Tensor, "f 3"], winner: Int64[Tensor, "b s s"], camera: Camera
) -> Float[Tensor, "b 1 s s"]:
    """Depth at which each pixel's ray meets the plane of its winning face (any value where there is none).

    With corners p0, p1, p2 and m = (p1 - p0) x (p2 - p0), the ray r of unit depth meets the plane at (m . p0)/(m . r).
    """
    batch = torch.arange(len(vertices), device=vertices.device)[:, None, None, None]
    corner = vertices.double()[batch, faces[winner.clamp(min=0)]]  # [B, S, S, 3, 3]
    p0, p1, p2 = corner.unbind(-2)
    m = torch.linalg.cross(p1 - p0, p2 - p0, dim=-1)
    ray = rays(camera, like=corner)
    covered = winner >= 0
    below = torch.where(covered, (m * ray).sum(-1), 1.0)
    depth = torch.where(covered, (m * p0).sum(-1) / below, 1.0)
    return depth[:, None].to(vertices.dtype)


def rasterise_depth(
    vertices: Float[Tensor, "b v 3"], faces: Int64[Tensor, "f 3"], camera: Camera, background: float
) -> DepthMap:
    """Depth seen from the camera, gradients to `vertices`. Items of the batch share the faces and nothing else."""
    winner = winning_faces(vertices, faces, camera)
    covered = (winner >= 0)[:, None]
    depth = plane_depth(vertices, faces, winner, camera)
    return DepthMap(torch.where(covered, depth, torch.full_like(depth, background)), covered)
