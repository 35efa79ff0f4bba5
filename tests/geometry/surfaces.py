"""Surfaces whose depth is known in closed form."""

from __future__ import annotations

import torch
from torch import Tensor

from bozzetto.geometry.camera import rays
from bozzetto.types import Camera


def plane_depth(camera: Camera, normal: Tensor, offset: Tensor) -> Tensor:
    """Depth [B, 1, S, S] of the planes normal . p = offset; normal [B, 3], offset [B]."""
    along = (rays(camera, like=normal) * normal[:, None, None]).sum(-1)
    return (offset[:, None, None] / along)[:, None]


def sphere(camera: Camera, radius: float, centre_depth: float = 1.0) -> tuple[Tensor, Tensor]:
    """Depth [1, 1, S, S] and outward unit normal [1, 3, S, S] of a sphere on the optical axis.

    It must fill the picture: radius > 0.13 at depth 1 and 10 degrees.
    """
    ray = rays(camera, like=torch.zeros((), dtype=torch.float64))
    length2 = ray.square().sum(-1)
    root = centre_depth**2 - length2 * (centre_depth**2 - radius**2)
    depth = (centre_depth - root.sqrt()) / length2
    points = depth[..., None] * ray
    normal = (points - torch.tensor([0.0, 0.0, centre_depth], dtype=torch.float64)) / radius
    return depth[None, None], normal.permute(2, 0, 1)[None]


def hills(camera: Camera, batch: int = 1, height: float = 0.02, dtype: torch.dtype = torch.float64) -> Tensor:
    """A smooth, asymmetric surface [B, 1, S, S] around depth 1, another for every item."""
    v, u = torch.meshgrid(*[torch.linspace(-1, 1, camera.size, dtype=torch.float64)] * 2, indexing="ij")
    items = []
    for i in range(batch):
        bump = torch.exp(-((u - 0.2 - 0.1 * i) ** 2 + (v + 0.1) ** 2) * 3)
        items.append(1 - height * bump + 0.3 * height * torch.sin(2 * u + v + i))
    return torch.stack(items)[:, None].to(dtype)


def rough(camera: Camera, batch: int, generator: torch.Generator, dtype: torch.dtype = torch.float64) -> Tensor:
    """Independent uniform depths in [0.9, 1.1]."""
    depth = torch.rand((batch, 1, camera.size, camera.size), generator=generator, dtype=torch.float64)
    return (0.9 + 0.2 * depth).to(dtype)
