"""Pinhole camera: pixels to rays and points, and back. x right, y down, z forward; pixel centres at integers."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from bozzetto.types import Camera


def pixel_grid(camera: Camera, *, like: Tensor) -> Float[Tensor, "s s 2"]:
    """Pixel coordinates (u, v) of every pixel centre, u along the last image axis, in `like`'s dtype and device."""
    ticks = torch.arange(camera.size, dtype=like.dtype, device=like.device)
    v, u = torch.meshgrid(ticks, ticks, indexing="ij")
    return torch.stack((u, v), dim=-1)


def rays(camera: Camera, *, like: Tensor) -> Float[Tensor, "s s 3"]:
    """Ray of every pixel, scaled to z = 1: a pixel at depth d sees the point d x ray."""
    uv = (pixel_grid(camera, like=like) - camera.centre_px) / camera.focal_px
    return torch.cat((uv, torch.ones_like(uv[..., :1])), dim=-1)


def unproject(depth: Float[Tensor, "b 1 s s"], camera: Camera) -> Float[Tensor, "b s s 3"]:
    """Points in scene units of a depth map in scene units (z, not distance along the ray)."""
    return depth[:, 0, :, :, None] * rays(camera, like=depth)


def project(points: Float[Tensor, "*n 3"], camera: Camera) -> Float[Tensor, "*n 2"]:
    """Pixel coordinates (u, v) of points in front of the camera. `project(unproject(d))` is the pixel grid."""
    return points[..., :2] / points[..., 2:] * camera.focal_px + camera.centre_px


def to_normalised(uv_px: Float[Tensor, "*n 2"], camera: Camera) -> Float[Tensor, "*n 2"]:
    """Pixel coordinates to the [-1, 1] of `grid_sample` with align_corners=True: -1 and 1 are pixel centres."""
    return uv_px / camera.centre_px - 1
