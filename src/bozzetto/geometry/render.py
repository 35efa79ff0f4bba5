"""The one renderer: depth, albedo, view and light to a picture.

The canonical depth becomes a mesh, the mesh is moved by the view and its *depth* rasterised; every seen pixel is
carried back to the canonical frame and the texture read there. Warping the texture instead of rasterising it is
the papers' choice: the texture gradients of a rasteriser are noisy.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from bozzetto.geometry import rasterise, rasterise_fast, shade
from bozzetto.geometry.camera import unproject
from bozzetto.geometry.heightfield import grid_faces, normals
from bozzetto.geometry.pose import move
from bozzetto.geometry.rasterise import DepthMap
from bozzetto.geometry.warp import canonical_grid, sample
from bozzetto.types import Camera, DepthRange, Factors, Rendering

Rasteriser = Literal["auto", "reference", "fast"]

# Depths beyond far + margin are clamped there and masked out (Pan).
FAR_MARGIN = 0.1


class Sight(NamedTuple):
    """What a view alone decides: which canonical point each pixel sees. Fixed as long as depth and view are."""

    depth: Float[Tensor, "b 1 s s"]
    mask: Float[Tensor, "b 1 s s"]
    grid: Float[Tensor, "b s s 2"]


def _rasterise(vertices: Tensor, faces: Tensor, camera: Camera, background: float, rasteriser: Rasteriser) -> DepthMap:
    if rasteriser == "reference":
        return rasterise.rasterise_depth(vertices, faces, camera, background)
    if vertices.device.type == "cpu":
        return rasterise_fast.rasterise_depth(vertices, faces, camera, background)
    if vertices.device.type == "cuda":
        from bozzetto.geometry import rasterise_cuda  # here alone: importing Triton takes a second

        return rasterise_cuda.rasterise_depth(vertices, faces, camera, background)
    return rasterise.rasterise_depth(vertices, faces, camera, background)


def look(
    depth: Float[Tensor, "n 1 s s"],
    view: Float[Tensor, "b 6"],
    camera: Camera,
    depth_range: DepthRange = DepthRange(),  # noqa: B008  frozen
    rasteriser: Rasteriser = "auto",
) -> Sight:
    """Rasterise the canonical depth from each view. One depth map (n = 1) may serve every view."""
    limit = depth_range.far + FAR_MARGIN
    points = unproject(depth, camera).reshape(depth.shape[0], -1, 3)
    vertices = move(points, view)
    seen = _rasterise(vertices, grid_faces(camera.size, depth.device), camera, limit, rasteriser)
    posed = seen.depth.clamp(max=limit)
    mask = (seen.covered & (posed < limit)).to(depth.dtype)
    return Sight(posed, mask, canonical_grid(posed, view, camera))


def render(
    factors: Factors,
    camera: Camera,
    depth_range: DepthRange = DepthRange(),  # noqa: B008  frozen
    rasteriser: Rasteriser = "auto",
) -> Rendering:
    """Render factors into their view under their light.

    Args:
        factors: depth [n, 1, S, S] scene units, albedo [n, 3, S, S] in [0, 1], view [b, 6], light [b, 4]; n is b or 1.
        camera: its size must be S.
        depth_range: depths beyond far + 0.1 count as background.
        rasteriser: "reference" is plain torch; "fast" and "auto" take the compiled one for the device.
    """
    sight = look(factors.depth, factors.view, camera, depth_range, rasteriser)
    normal = normals(factors.depth, camera)
    lit = shade.diffuse(normal, factors.light)
    shading = shade.shading(lit, factors.light)
    texture = factors.albedo * shading
    image = sample(texture, sight.grid) * sight.mask
    b = len(factors.view)
    return Rendering(image, sight.mask, sight.depth, sight.grid, texture, normal.expand(b, -1, -1, -1), lit, shading)


def identity_view(batch: int, like: Tensor) -> Float[Tensor, "b 6"]:
    return torch.zeros((batch, 6), dtype=like.dtype, device=like.device)
