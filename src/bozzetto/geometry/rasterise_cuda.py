"""The GPU rasteriser: winning faces by one Triton kernel, depths and gradients as in `rasterise`.

Each program takes a block of triangles, walks their bounding boxes and lowers a 64-bit key per pixel, (depth in steps
of 2^-24, face index), by an atomic minimum: the smallest key wins in whatever order the programs run. All of it is
float64 without fused multiply-adds, so that the winners are the reference's, bit for bit. Triton comes with torch on
Linux; where it is missing or cannot build (it needs a C compiler once), the plain torch reference does the work.
"""

from __future__ import annotations

import logging
from functools import lru_cache

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from bozzetto.geometry import rasterise
from bozzetto.geometry.camera import project
from bozzetto.geometry.rasterise import DEPTH_STEPS, EDGE_TOLERANCE, MIN_AREA_PX2, NOTHING, DepthMap
from bozzetto.types import Camera

try:
    import triton
    import triton.language as tl
except ImportError:
    triton = None

log = logging.getLogger(__name__)

BLOCK_FACES = 64
# Adding and subtracting 1.5 x 2^52 rounds a smaller float64 to the nearest integer, halves to even, as torch.round.
ROUNDER = 1.5 * 2.0**52

if triton is not None:

    @triton.jit
    def _lower_keys(  # type: ignore[no-untyped-def]
        uv,  # [B, V, 2] px, float64
        z,  # [B, V] scene units, float64
        faces,  # [F, 3]
        best,  # [B, S S] keys, int64
        n_vertices,
        n_faces,
        size,
        TOLERANCE: tl.constexpr,
        MIN_AREA: tl.constexpr,
        STEPS: tl.constexpr,
        ROUND: tl.constexpr,
        BLOCK: tl.constexpr,
    ):
        item = tl.program_id(1).to(tl.int64)
        face = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
        real = face < n_faces
        i0 = item * n_vertices + tl.load(faces + face * 3, real, other=0)
        i1 = item * n_vertices + tl.load(faces + face * 3 + 1, real, other=0)
        i2 = item * n_vertices + tl.load(faces + face * 3 + 2, real, other=0)
        u0, v0, z0 = tl.load(uv + i0 * 2), tl.load(uv + i0 * 2 + 1), tl.load(z + i0)
        u1, v1, z1 = tl.load(uv + i1 * 2), tl.load(uv + i1 * 2 + 1), tl.load(z + i1)
        u2, v2, z2 = tl.load(uv + i2 * 2), tl.load(uv + i2 * 2 + 1), tl.load(z + i2)
        area = (u1 - u0) * (v2 - v0) - (v1 - v0) * (u2 - u0)
        # Python numbers may reach a kernel as float32; these two would change by it.
        tolerance = tl.full([BLOCK], -TOLERANCE, tl.float64)
        min_area = tl.full([BLOCK], MIN_AREA, tl.float64)
        alive = real & (z0 > 0) & (z1 > 0) & (z2 > 0) & (tl.abs(area) > min_area)

        # One pixel wider than the box, as in the reference. Clamped before they become integers: a vertex close to
        # the camera's plane projects to any number.
        edge = tl.zeros([BLOCK], tl.float64) + size
        left = tl.minimum(tl.maximum(tl.ceil(tl.minimum(tl.minimum(u0, u1), u2)) - 1, 0.0), edge)
        top = tl.minimum(tl.maximum(tl.ceil(tl.minimum(tl.minimum(v0, v1), v2)) - 1, 0.0), edge)
        right = tl.maximum(tl.minimum(tl.floor(tl.maximum(tl.maximum(u0, u1), u2)) + 1, edge - 1), -1.0)
        bottom = tl.maximum(tl.minimum(tl.floor(tl.maximum(tl.maximum(v0, v1), v2)) + 1, edge - 1), -1.0)
        columns = tl.where(alive, right - left + 1, 0.0).to(tl.int32)
        rows = tl.where(alive, bottom - top + 1, 0.0).to(tl.int32)
        x0 = tl.where(alive, left, 0.0).to(tl.int32)
        y0 = tl.where(alive, top, 0.0).to(tl.int32)

        s0, s1, s2 = 1 / z0, 1 / z1, 1 / z2
        most_columns = tl.max(columns, 0)
        for row in range(tl.max(rows, 0)):
            y = y0 + row
            v = y.to(tl.float64)
            for column in range(most_columns):
                x = x0 + column
                u = x.to(tl.float64)
                w0 = ((u1 - u) * (v2 - v) - (v1 - v) * (u2 - u)) / area
                w1 = ((u2 - u) * (v0 - v) - (v2 - v) * (u0 - u)) / area
                w2 = ((u0 - u) * (v1 - v) - (v0 - v) * (u1 - u)) / area
                inside = alive & (row < rows) & (column < columns)
                inside = inside & (w0 >= tolerance) & (w1 >= tolerance) & (w2 >= tolerance)
                steps = (1 / (w0 * s0 + w1 * s1 + w2 * s2)) * STEPS
                steps = tl.where(inside, (steps + ROUND) - ROUND, 0.0)
                key = (steps.to(tl.int64) << 32) + face
                tl.atomic_min(best + item * size * size + y * size + x, key, mask=inside, sem="relaxed")


def winning_faces(
    vertices: Float[Tensor, "b v 3"], faces: Int64[Tensor, "f 3"], camera: Camera
) -> Int64[Tensor, "b s s"]:
    """As `rasterise.winning_faces`, by the kernel. Needs Triton, and tensors on a device it can reach."""
    corners = vertices.detach().double()
    uv = project(corners, camera).contiguous()
    z = corners[..., 2].contiguous()
    best = torch.full((len(vertices), camera.size**2), NOTHING, dtype=torch.int64, device=vertices.device)
    if len(faces) and len(vertices):
        grid = (triton.cdiv(len(faces), BLOCK_FACES), len(vertices))
        _lower_keys[grid](
            uv,
            z,
            faces.contiguous(),
            best,
            vertices.shape[1],
            len(faces),
            camera.size,
            TOLERANCE=EDGE_TOLERANCE,
            MIN_AREA=MIN_AREA_PX2,
            STEPS=DEPTH_STEPS,
            ROUND=ROUNDER,
            BLOCK=BLOCK_FACES,
            enable_fp_fusion=False,
        )
    winner = torch.where(best == NOTHING, -1, best % 2**32)
    return winner.reshape(-1, camera.size, camera.size)


@lru_cache(maxsize=32)
def kernel_works(device: torch.device) -> bool:
    """Whether the kernel builds and runs on the device, tried once on a single triangle. The reason goes to the log."""
    if triton is None:
        return False
    corner = torch.tensor([[[-1.0, -1.0, 1.0], [3.0, -1.0, 1.0], [-1.0, 3.0, 1.0]]], device=device)
    try:
        winner = winning_faces(corner, torch.tensor([[0, 1, 2]], device=device), Camera(2, 90.0))
        return bool((winner == 0).all())
    except Exception as error:  # whatever Triton's compiler, the driver or the C compiler may say
        log.warning("The Triton rasteriser does not run here (%s); the slower torch one is used.", error)
        return False


def rasterise_depth(
    vertices: Float[Tensor, "b v 3"], faces: Int64[Tensor, "f 3"], camera: Camera, background: float
) -> DepthMap:
    """As `rasterise.rasterise_depth`, on CUDA tensors (any other device where Triton is missing: the reference)."""
    if not kernel_works(vertices.device):
        return rasterise.rasterise_depth(vertices, faces, camera, background)
    winner = winning_faces(vertices, faces, camera)
    covered = (winner >= 0)[:, None]
    depth = rasterise.plane_depth(vertices, faces, winner, camera)
    return DepthMap(torch.where(covered, depth, torch.full_like(depth, background)), covered)
