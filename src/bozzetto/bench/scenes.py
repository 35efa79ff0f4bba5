"""Surfaces whose depth map and normals are known in closed form, at any size and in any batch.

A pixel looks along the ray q = (x, y, 1) with x = (u - c) / f, y = (v - c) / f, and depth d puts its point at p = d q.
All functions take and keep the dtype and device of their parameters; pixels off the mask carry the depth
`BACKGROUND` and the normal (0, 0, -1).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from bozzetto.types import Camera

BACKGROUND = 1.1  # scene units


@dataclass(frozen=True)
class Scene:
    """Exact truth of a surface before a camera; every field carries the same batch size B."""

    depth: Float[Tensor, "b 1 h w"]  # z, scene units
    normal: Float[Tensor, "b 3 h w"]  # unit, toward the camera
    mask: Bool[Tensor, "b 1 h w"]  # where the ray meets the surface


def pixel_rays(camera: Camera, like: Tensor) -> Float[Tensor, "1 3 h w"]:
    """The rays q = (x, y, 1) of all pixel centres."""
    lateral = (torch.arange(camera.size, dtype=like.dtype, device=like.device) - camera.centre_px) / camera.focal_px
    y, x = torch.meshgrid(lateral, lateral, indexing="ij")
    return torch.stack([x, y, torch.ones_like(x)])[None]


def ellipsoid(camera: Camera, centre: Float[Tensor, "b 3"], semi_axes: Float[Tensor, "b 3"]) -> Scene:
    """Axis-aligned ellipsoid sum ((p_i - c_i) / a_i)^2 = 1.

    With q' = q / a and c' = c / a the depth is the nearer root of |d q' - c'|^2 = 1,

        d = (q'.c' - sqrt((q'.c')^2 - |q'|^2 (|c'|^2 - 1))) / |q'|^2,

    and the normal is along (p - c) / a^2.
    """
    ray = pixel_rays(camera, centre)
    axes, middle = semi_axes[:, :, None, None], centre[:, :, None, None]
    scaled_ray, scaled_middle = ray / axes, middle / axes
    along = (scaled_ray * scaled_middle).sum(1, keepdim=True)
    square = (scaled_ray**2).sum(1, keepdim=True)
    discriminant = along**2 - square * ((scaled_middle**2).sum(1, keepdim=True) - 1)
    mask = discriminant >= 0
    depth = (along - discriminant.clamp_min(0).sqrt()) / square
    return _on_background(depth, (depth * ray - middle) / axes**2, mask)


def sphere(camera: Camera, centre: Float[Tensor, "b 3"], radius: Float[Tensor, " b"]) -> Scene:
    """Sphere |p - c| = r; see `ellipsoid`."""
    return ellipsoid(camera, centre, radius[:, None].expand(-1, 3))


def plane(camera: Camera, depth_at_axis: Float[Tensor, " b"], normal: Float[Tensor, "b 3"]) -> Scene:
    """The plane through (0, 0, d0) with the given normal, n_z < 0: d = n_z d0 / (n . q)."""
    ray = pixel_rays(camera, normal)
    n = normal[:, :, None, None]
    depth = n[:, 2:] * depth_at_axis[:, None, None, None] / (n * ray).sum(1, keepdim=True)
    return _on_background(depth, n.expand(-1, -1, camera.size, camera.size), depth > 0)


def bumps(
    camera: Camera,
    base_depth: Float[Tensor, " b"],
    height: Float[Tensor, "b k"],
    middle: Float[Tensor, "b k 2"],
    width: Float[Tensor, "b k"],
) -> Scene:
    """A wall at the base depth with k bumps toward the camera:

        d(x, y) = d0 - sum_k h_k exp(-|(x, y) - m_k|^2 / (2 s_k^2)),   (x, y) of the ray, not of the point.

    The normal is along -(p_x x p_y) with p_x = d_x q + d (1, 0, 0) and p_y = d_y q + d (0, 1, 0), which is
    (d_x, d_y, -(d + x d_x + y d_y)) up to a positive factor d.
    """
    ray = pixel_rays(camera, height)
    offset = ray[:, None, :2] - middle[..., None, None]  # [B, K, 2, H, W]
    variance = (width**2)[..., None, None]
    bump = height[..., None, None] * torch.exp(-(offset**2).sum(2) / (2 * variance))  # [B, K, H, W]
    depth = base_depth[:, None, None, None] - bump.sum(1, keepdim=True)
    slope = (bump[:, :, None] * offset / variance[:, :, None]).sum(1)  # [B, 2, H, W]: d_x, d_y
    down = -(depth + (ray[:, :2] * slope).sum(1, keepdim=True))
    return _on_background(depth, torch.cat([slope, down], 1), torch.ones_like(depth, dtype=torch.bool))


def step(camera: Camera, near: Float[Tensor, " b"], far: Float[Tensor, " b"]) -> Scene:
    """Two facing walls: the left half of the image at `near`, the right half at `far`."""
    left = (pixel_rays(camera, near)[:, :1] < 0).expand(len(near), -1, -1, -1)
    depth = torch.where(left, near[:, None, None, None], far[:, None, None, None])
    facing = torch.tensor([0.0, 0.0, -1.0], dtype=near.dtype, device=near.device)
    normal = facing[None, :, None, None].expand(len(near), -1, camera.size, camera.size)
    return _on_background(depth, normal, torch.ones_like(left))


def example_scenes(camera: Camera, dtype: torch.dtype = torch.float32) -> dict[str, Scene]:
    """One batch of two of each kind that fits the usual camera and the depth range [0.9, 1.1]."""

    def t(*values: object) -> Tensor:
        return torch.tensor(values, dtype=dtype)

    half = math.tan(math.radians(camera.fov_deg) / 2)  # half width of the image at depth 1
    tilt = math.radians(15)
    return {
        "sphere": sphere(camera, t((0, 0, 1.02), (0.2 * half, -0.1 * half, 1.0)), t(0.7 * half, 0.5 * half)),
        "ellipsoid": ellipsoid(
            camera,
            t((0, 0, 1.02), (0, 0.1 * half, 1.04)),
            t((0.6 * half, 0.8 * half, 0.1), (0.8 * half, 0.5 * half, 0.06)),
        ),
        "plane": plane(camera, t(1.0, 1.0), t((0, 0, -1), (math.sin(tilt), 0, -math.cos(tilt)))),
        "bumps": bumps(
            camera,
            t(1.05, 1.02),
            t((0.06, 0.03), (0.05, -0.02)),
            t(((0, 0), (0.4 * half, 0.3 * half)), ((-0.2 * half, 0.1 * half), (0.3 * half, 0.0))),
            t((0.4 * half, 0.2 * half), (0.5 * half, 0.25 * half)),
        ),
        "step": step(camera, t(0.95, 0.98), t(1.05, 1.02)),
    }


def _on_background(depth: Tensor, normal: Tensor, mask: Tensor) -> Scene:
    """Normalise the normals and put the background where the mask is 0."""
    unit = normal / torch.linalg.vector_norm(normal, dim=1, keepdim=True)
    facing = torch.tensor([0.0, 0.0, -1.0], dtype=depth.dtype, device=depth.device)[None, :, None, None]
    return Scene(
        depth=torch.where(mask, depth, torch.full_like(depth, BACKGROUND)),
        normal=torch.where(mask, unit, facing),
        mask=mask,
    )
